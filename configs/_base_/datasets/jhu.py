# JHU-CROWD++, 2,272 / 500 / 1,600: the official train, val and test.
#
# Crops, batch and sigma as on ShanghaiTech part A. Some images have no people.
_base_ = "./shha.py"
data_root = "jhu_crowd_v2.0"
where = dict(data_root=data_root, layout="jhu")
train_dataloader = dict(dataset=where)
val_dataloader = test_dataloader = dict(dataset=where)
del data_root, where  # of no use to --cfg-options: each loader has its own keys
