# Stand-alone training of a searched ResNet-164 on CIFAR-100's D_train (40,000 images), so that candidates can be
# compared on D_val; the test images are looked at once, at the end. Otherwise the papers' recipe: 164 epochs, a tenth
# at 81 and 122, flips and crops.
# tools/search.py replaces the backbone's scheme; by itself this trains the plain network.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/c100_resnet164_ean_se.py
_base_ = ["../_base_/datasets/cifar100.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet164.cifar100", init="scratch"),
    num_classes=100,
)
train_dataloader = dict(dataset=dict(augment=["crop", "flip"]))
# Epochs of 40,000 images in batches of 128: 164, with steps after 81 and 122.
train_cfg = dict(type="ResumableTrainLoop", max_iters=51_250, val_interval=3125)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="MultiStepLR", by_epoch=False, milestones=[25_312, 38_125], gamma=0.1)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=1000, max_keep_ckpts=1))
