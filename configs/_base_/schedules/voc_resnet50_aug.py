# As voc_resnet50.py for the SBD masks: 66,000 iterations (50 epochs of 10,582 images); ours.
_base_ = "./voc_resnet50.py"
train_cfg = dict(max_iters=66000, val_interval=6000)
param_scheduler = [dict(part, end=66000) for part in _base_.param_scheduler]
default_hooks = dict(checkpoint=dict(interval=6000))
