# CIFAR-100, ResNet-38 from scratch by the papers' recipe (100 epochs, cosine, flips only): the plain network.
# Batch size and initial rate are those of their ResNet-164. Trains on all 50,000 training images.
# Result: not yet run. Published: see `python tools/backbones.py show resnet38.cifar100`.
# Hardware: one GPU, or 8 to 16 hours on 2 CPU cores.
# Command: python tools/train.py configs/c100_resnet38_resnet.py
_base_ = ["_base_/datasets/cifar100.py", "_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet38.cifar100", init="scratch"),
    num_classes=100,
    channels_last=True,
)
train_dataloader = dict(dataset=dict(split="trainval", augment=["flip"]))
# The last checkpoint is the result: nothing is chosen on the test images, and D_val is part of what is trained on.
val_dataloader = None
val_evaluator = None
val_cfg = None
max_iters = 39_062  # 100 epochs of 50,000 images in batches of 128
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=1000, max_keep_ckpts=1))
