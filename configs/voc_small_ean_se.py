# Segmentation of 440 small VOC images by a small PSPNet with a ResNet-38, SE where a search on CIFAR-100 connected
# it, a module per stage (Share-EAN), from that network's weights (6 epochs of CIFAR-100). From scratch:
# --cfg-options model.backbone.init=scratch
# Ours: everything but the images. Always saying background gets a mIoU of 3.4.
# Result: mIoU 13.6 (seed 0); from scratch with every second block connected 10.4 (results/segmentation).
# Hardware: 2 CPU cores; 35 to 50 minutes on one of them with --amp.
# Command: OMP_NUM_THREADS=1 python tools/train.py configs/voc_small_ean_se.py --amp --seed 0
_base_ = [
    "_base_/models/psp_resnet38.py",
    "_base_/datasets/voc_small.py",
    "_base_/schedules/voc_resnet38.py",
    "_base_/segmentation_runtime.py",
]
model = dict(backbone=dict(name="resnet38_share_ean_se.c100_6ep", init="auto"))
