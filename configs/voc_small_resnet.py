# Segmentation of 440 small VOC images by a small PSPNet with the plain ResNet-38, from scratch.
# Ours: everything but the images. Always saying background gets a mIoU of 3.4.
# Result: mIoU 11.3, mAcc 15.1, aAcc 71.9 (seed 0); see results/segmentation.
# Hardware: 2 CPU cores; 35 to 50 minutes on one of them with --amp.
# Command: OMP_NUM_THREADS=1 python tools/train.py configs/voc_small_resnet.py --amp --seed 0
_base_ = [
    "_base_/models/psp_resnet38.py",
    "_base_/datasets/voc_small.py",
    "_base_/schedules/voc_resnet38.py",
    "_base_/segmentation_runtime.py",
]
model = dict(backbone=dict(name="resnet38.cifar100"))
