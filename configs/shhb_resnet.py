# Counting on ShanghaiTech part B with the plain ResNet-50.
# Result: not yet run; no published figure at hand for this cell.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/shhb_resnet.py
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/shhb.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50.imagenet"))
