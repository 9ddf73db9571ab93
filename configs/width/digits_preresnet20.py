# PreResNet-20 at full width on scikit-learn's digits, for trials of width searches; ours.
# Needs scikit-learn.
# Result: not yet run.
# Hardware: 1 CPU core, a minute.
# Command: python tools/search.py configs/search/width_digits_preresnet20.py
_base_ = ["../_base_/datasets/digits.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="preresnet20.cifar100", init="scratch", in_channels=1),
    num_classes=10,
    data_preprocessor=dict(mean=[0.305], std=[0.376]),
    channels_last=True,
)
max_iters = 300  # 25 epochs of 797 images in batches of 64
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=100)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=100, max_keep_ckpts=1))
