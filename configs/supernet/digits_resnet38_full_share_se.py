# Supernet on scikit-learn's digits: ResNet-38 (12 blocks, 4,096 schemes) with one SE module per stage (Share-EAN).
# For trials; ours.
# Needs scikit-learn.
# Result: see results/search/digits_study.
# Hardware: 1 CPU core, a few minutes.
# Command: python tools/train.py configs/supernet/digits_resnet38_full_share_se.py
_base_ = ["../_base_/datasets/digits.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(
    imports=["transfer.engine", "tasks.classification", "transfer.search.supernet"], allow_failed_imports=False
)
model = dict(
    type="Classifier",
    backbone=dict(
        type="RegisteredBackbone", name="resnet38_full_share_se.cifar100", init="scratch", supernet=True, in_channels=1
    ),
    num_classes=10,
    data_preprocessor=dict(mean=[0.305], std=[0.376]),
    channels_last=True,
)
find_unused_parameters = True  # with several processes: a scheme leaves modules out
max_iters = 500  # 40 epochs of 797 images in batches of 64
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=100)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=100, max_keep_ckpts=1))
custom_hooks = [dict(type="SupernetHook", beta=0.5)]
