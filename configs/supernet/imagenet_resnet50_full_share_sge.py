# Supernet on ImageNet: ResNet-50 with one SGE module per stage (Share-EAN), one Bernoulli scheme an iteration, on
# D_train: 40 epochs at a constant rate, as in the authors' code.
# Result: not yet run.
# Hardware: 4 to 8 GPUs, by torchrun; train_dataloader.batch_size is then the 256 divided by their number.
# Command: python tools/train.py configs/supernet/imagenet_resnet50_full_share_sge.py
_base_ = ["../_base_/datasets/imagenet.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(
    imports=["transfer.engine", "tasks.classification", "transfer.search.supernet"], allow_failed_imports=False
)
model = dict(
    type="Classifier",
    backbone=dict(
        type="RegisteredBackbone",
        name="resnet50_full_share_sge.imagenet",
        init="scratch",
        supernet=True,
        conv_bias=True,
    ),
    num_classes=1000,
)
find_unused_parameters = True  # with several processes: a scheme leaves modules out
train_cfg = dict(type="ResumableTrainLoop", max_iters=184_557, val_interval=23_070)  # 40 epochs of 1,181,167 images
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=5000, max_keep_ckpts=2))
custom_hooks = [dict(type="SupernetHook", beta=0.5)]
