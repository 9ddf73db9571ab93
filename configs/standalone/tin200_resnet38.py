# Training from scratch of a searched ResNet-38 (stem stride 2) on Tiny-ImageNet-200's D_train, so that candidates can
# be compared on D_val; the test images are looked at once, at the end. 15 epochs and the cosine are ours, for CPUs.
# tools/search.py replaces the backbone's scheme; by itself this trains the plain network.
# Result: see results/search/tin200_resnet38_se.
# Hardware: 1 CPU core, about four hours; a third of it with --amp where the processor computes in bfloat16.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/tin200_resnet38_se.py
_base_ = ["../_base_/datasets/tin200.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet38.cifar100", init="scratch", stem_stride=2),
    num_classes=200,
    channels_last=True,
)
max_iters = 9_375  # 15 epochs of 80,000 images in batches of 128
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=3125)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=250, max_keep_ckpts=1))
