# CIFAR-100, ResNet-164 from scratch by the papers' recipe (164 epochs, a tenth at 81 and 122, flips and crops): the
# plain network. Trains on all 50,000 training images.
# Result: not yet run. Published: see `python tools/backbones.py show resnet164.cifar100`.
# Hardware: one GPU.
# Command: python tools/train.py configs/c100_resnet164_resnet.py
_base_ = ["_base_/datasets/cifar100.py", "_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet164.cifar100", init="scratch"),
    num_classes=100,
)
train_dataloader = dict(dataset=dict(split="trainval", augment=["crop", "flip"]))
# The last checkpoint is the result: nothing is chosen on the test images, and D_val is part of what is trained on.
val_dataloader = None
val_evaluator = None
val_cfg = None
# Epochs of 50,000 images in batches of 128: 164, with steps after 81 and 122.
train_cfg = dict(type="ResumableTrainLoop", max_iters=64_062)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="MultiStepLR", by_epoch=False, milestones=[31_641, 47_656], gamma=0.1)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=1000, max_keep_ckpts=1))
