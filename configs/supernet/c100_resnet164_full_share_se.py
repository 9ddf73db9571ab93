# Supernet on CIFAR-100: ResNet-164 with one SE module per stage (Share-EAN),
# one Bernoulli scheme an iteration, on D_train.
# 150 epochs as in the papers; that the rate follows a cosine is ours.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/train.py configs/supernet/c100_resnet164_full_share_se.py
_base_ = ["../_base_/datasets/cifar100.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(
    imports=["transfer.engine", "tasks.classification", "transfer.search.supernet"], allow_failed_imports=False
)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet164_full_share_se.cifar100", init="scratch", supernet=True),
    num_classes=100,
)
find_unused_parameters = True  # with several processes: a scheme leaves modules out
max_iters = 46_875  # 150 epochs of 40,000 images in batches of 128
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=3125)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=1000, max_keep_ckpts=1))
custom_hooks = [dict(type="SupernetHook", beta=0.5)]
