# Segmentation of Pascal VOC 2012 by PSPNet with SE in the blocks of a connection scheme, a module per stage
# (Share-EAN);
# the SE scheme was never published, the SGE scheme stands in.
# Ours: head, crop, schedule and batch, see the files below; the papers state data and metrics only.
# Result: not yet run.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/voc_psp_ean_se.py
_base_ = [
    "_base_/models/psp_resnet50.py",
    "_base_/datasets/voc.py",
    "_base_/schedules/voc_resnet50.py",
    "_base_/segmentation_runtime.py",
]
model = dict(backbone=dict(name="resnet50_share_ean_se.standin"))
