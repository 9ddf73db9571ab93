# Segmentation of Pascal VOC 2012 with the SBD masks by PSPNet with SE in every block, a module per stage (Full-Share).
# Ours: head, crop, schedule and batch, see the files below; the papers state data and metrics only.
# Result: not yet run.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/voc_aug_psp_full_share_se.py
_base_ = [
    "_base_/models/psp_resnet50.py",
    "_base_/datasets/voc_aug.py",
    "_base_/schedules/voc_resnet50_aug.py",
    "_base_/segmentation_runtime.py",
]
model = dict(backbone=dict(name="resnet50_full_share_se.imagenet"))
