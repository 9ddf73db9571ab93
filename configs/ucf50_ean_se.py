# Counting on UCF_CC_50 with SE in the blocks of a connection scheme, one module per stage (Share-EAN); the SE scheme
# was never published, the SGE scheme stands in. The figure to report is the mean of the five folds' tests.
# Result: not yet run. The papers have no figure for this data set.
# Hardware: one GPU with 24 GB.
# Command: python tools/train.py configs/ucf50_ean_se.py --work-dir work_dirs/ucf50_ean_se/fold_1 \
#              --cfg-options {train,val,test}_dataloader.dataset.fold=1  (0 to 4, in all three loaders)
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/ucf_cc_50.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50_share_ean_se.standin"))
