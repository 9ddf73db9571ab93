# ImageNet, ResNet-50 from scratch by the papers' recipe (120 epochs, a tenth every 30, batch 256): the plain network,
# its convolutions with biases as in the authors' code. Trains on all training images.
# Result: not yet run. Published: see `python tools/backbones.py show resnet50.imagenet`.
# Hardware: 4 to 8 GPUs, by torchrun; train_dataloader.batch_size is then the 256 divided by their number.
# Command: torchrun --nproc-per-node 4 tools/train.py configs/imagenet_resnet50_resnet.py --launcher pytorch
#     --cfg-options train_dataloader.batch_size=64
_base_ = ["_base_/datasets/imagenet.py", "_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="resnet50.imagenet", init="scratch", conv_bias=True),
    num_classes=1000,
)
train_dataloader = dict(dataset=dict(split="trainval"))
# The last checkpoint is the result: nothing is chosen on the test images, and D_val is part of what is trained on.
val_dataloader = None
val_evaluator = None
val_cfg = None
# Epochs of 1,281,167 images in batches of 256: 120, with steps after 30, 60 and 90.
train_cfg = dict(type="ResumableTrainLoop", max_iters=600_547)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="MultiStepLR", by_epoch=False, milestones=[150_137, 300_274, 450_410], gamma=0.1)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=5000, max_keep_ckpts=2))
