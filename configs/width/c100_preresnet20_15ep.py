# PreResNet-20 at full width on CIFAR-100's D_train (40,000 images), 15 epochs, before its widths are searched; ours.
# Result: not yet run.
# Hardware: 1 CPU core, half an hour with --amp.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/width_c100_preresnet20.py --amp
_base_ = ["../_base_/datasets/cifar100.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="preresnet20.cifar100", init="scratch"),
    num_classes=100,
    channels_last=True,
)
max_iters = 4_688  # 15 epochs of 40,000 images in batches of 128
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=1563)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=500, max_keep_ckpts=1))
