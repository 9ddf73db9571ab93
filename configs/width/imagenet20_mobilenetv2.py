# MobileNetV2 on 20 classes of ImageNet (RARTS thesis, Table 4.2): a folder `imagenet20` with train/<class>/* and
# val/<class>/* of 20 classes, 1,300 and 50 images each; the thesis drew its own at random and does not name them, nor
# its schedule. Ours: 160 epochs of batches of 128, SGD as for PreResNet-164, D_val of 50 images a class. Also the
# fine-tuning's config.
# Result: not yet run on a GPU. Published: 12.3 % error at full width.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/width_imagenet20_mobilenetv2_rarts.py
_base_ = ["../_base_/datasets/imagenet.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
data_root = "imagenet20"
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="mobilenetv2.imagenet", init="scratch"),
    num_classes=20,
)
train_dataloader = dict(batch_size=128, dataset=dict(data_root=data_root, val_per_class=50))
val_dataloader = dict(dataset=dict(data_root=data_root, val_per_class=50))
test_dataloader = dict(dataset=dict(data_root=data_root))
calibration_dataset = dict(data_root=data_root, val_per_class=50)
max_iters = 31_250  # 160 epochs of 25,000 images in batches of 128
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=1954)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False, T_max=max_iters, eta_min=0.0)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=1000, max_keep_ckpts=1))
