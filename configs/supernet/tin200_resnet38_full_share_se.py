# Supernet on Tiny-ImageNet-200: ResNet-38 at stem stride 2 with one SE module per stage (Share-EAN), one Bernoulli
# scheme an iteration, on D_train. 12 epochs and the cosine are ours, for CPUs.
# Result: see results/search/tin200_resnet38_se.
# Hardware: 1 CPU core, about two hours with --amp.
# Command: OMP_NUM_THREADS=1 python tools/train.py configs/supernet/tin200_resnet38_full_share_se.py --amp
_base_ = ["../_base_/datasets/tin200.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(
    imports=["transfer.engine", "tasks.classification", "transfer.search.supernet"], allow_failed_imports=False
)
model = dict(
    type="Classifier",
    backbone=dict(
        type="RegisteredBackbone",
        name="resnet38_full_share_se.cifar100",
        init="scratch",
        supernet=True,
        stem_stride=2,
    ),
    num_classes=200,
    channels_last=True,
)
find_unused_parameters = True  # with several processes: a scheme leaves modules out
max_iters = 7_500  # 12 epochs of 80,000 images in batches of 128
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=2500)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=250, max_keep_ckpts=1))
custom_hooks = [dict(type="SupernetHook", beta=0.5)]
