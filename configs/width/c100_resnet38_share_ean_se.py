# The registered Share-EAN ResNet-38 on CIFAR-100's D_train, 6 epochs: fine-tuning after its widths were searched, and
# the data of that search. tools/search.py replaces the backbone by the pruned one.
# Result: not yet run.
# Hardware: 1 CPU core, about 15 minutes with --amp.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/width_c100_resnet38_share_ean_se.py --amp
_base_ = ["../_base_/datasets/cifar100.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet38_share_ean_se.c100_6ep", init="full"),
    num_classes=100,
    channels_last=True,
)
train_dataloader = dict(dataset=dict(augment=["flip"]))
max_iters = 1_875  # 6 epochs of 40,000 images in batches of 128
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=625)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=250, max_keep_ckpts=1))
