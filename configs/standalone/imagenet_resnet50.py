# Stand-alone training of a searched ResNet-50 on ImageNet's D_train (1,181,167 images), so that candidates can be
# compared on D_val; the validation images of ImageNet are looked at once, at the end. Otherwise the papers' recipe:
# 120 epochs, a tenth every 30, batch 256, convolutions with biases as in the authors' code.
# tools/search.py replaces the backbone's scheme; by itself this trains the plain network.
# Result: not yet run.
# Hardware: 4 to 8 GPUs.
# Command: python tools/search.py configs/search/imagenet_resnet50_ean_sge.py
_base_ = ["../_base_/datasets/imagenet.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet50.imagenet", init="scratch", conv_bias=True),
    num_classes=1000,
)
# Epochs of 1,181,167 images in batches of 256: 120, with steps after 30, 60 and 90.
train_cfg = dict(type="ResumableTrainLoop", max_iters=553_672, val_interval=23_070)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="MultiStepLR", by_epoch=False, milestones=[138_418, 276_836, 415_254], gamma=0.1)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=5000, max_keep_ckpts=2))
