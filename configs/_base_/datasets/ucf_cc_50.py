# UCF_CC_50: 50 images, five-fold cross-validation; of a fold, 10 images are test, and of the 40 others 4 are val.
#
# Crops, batch and sigma as on ShanghaiTech part A. The authors' folds were never published; ours are consecutive
# images.
_base_ = "./shha.py"
where = dict(data_root="UCF_CC_50", layout="ucf_cc_50", fold=0)
train_dataloader = dict(dataset=where)
val_dataloader = test_dataloader = dict(dataset=where)
del where  # of no use to --cfg-options: each loader has its own keys
