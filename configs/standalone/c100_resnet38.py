# Stand-alone training of a searched ResNet-38 on CIFAR-100's D_train (40,000 images), so that candidates can be
# compared on D_val; the test images are looked at once, at the end. Otherwise the papers' recipe: 100 epochs, cosine,
# flips only.
# tools/search.py replaces the backbone's scheme; by itself this trains the plain network.
# Result: not yet run.
# Hardware: one GPU, or 8 to 16 hours on 2 CPU cores.
# Command: python tools/search.py configs/search/c100_resnet38_ean_se.py
_base_ = ["../_base_/datasets/cifar100.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet38.cifar100", init="scratch"),
    num_classes=100,
    channels_last=True,
)
train_dataloader = dict(dataset=dict(augment=["flip"]))
max_iters = 31_250  # 100 epochs of 40,000 images in batches of 128
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=3125)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=1000, max_keep_ckpts=1))
