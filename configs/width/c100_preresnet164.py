# PreResNet-164 at full width by the thesis's recipe (RARTS thesis, Section 4.2.2, after NetSlim): 160 epochs, learning
# rate 0.1, weight decay 1e-4, a tenth of the rate after half and after three quarters. Ours: batches of 128, and
# D_train (40,000 images), so that D_val says how good a network is right after pruning. Also the fine-tuning's config:
# the same settings apply.
# Result: not yet run on a GPU. Published: 21.83 % error.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/width_c100_preresnet164_rarts_40.py
_base_ = ["../_base_/datasets/cifar100.py", "../_base_/default_runtime.py"]
task = "classification"
custom_imports = dict(imports=["transfer.engine", "tasks.classification"], allow_failed_imports=False)
model = dict(
    type="Classifier",
    backbone=dict(type="RegisteredBackbone", name="preresnet164.cifar100", init="scratch"),
    num_classes=100,
    channels_last=True,
)
train_cfg = dict(type="ResumableTrainLoop", max_iters=50_000, val_interval=5000)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type="MultiStepLR", by_epoch=False, milestones=[25_000, 37_500], gamma=0.1)
default_hooks = dict(checkpoint=dict(type="PlainCheckpointHook", interval=1000, max_keep_ckpts=1))
