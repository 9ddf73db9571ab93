# Segmentation of 440 small VOC pictures by a small PSPNet with the plain ResNet-38, from scratch.
# Ours: everything but the pictures. Always saying background gets a mIoU of about 3.5.
# Result: not yet run.
# Hardware: 2 CPU cores, about 30 minutes.
# Command: OMP_NUM_THREADS=2 python tools/train.py configs/voc_small_resnet.py --seed 0
_base_ = [
    "_base_/models/psp_resnet38.py",
    "_base_/datasets/voc_small.py",
    "_base_/schedules/voc_resnet38.py",
    "_base_/segmentation_runtime.py",
]
model = dict(backbone=dict(name="resnet38.cifar100"))
