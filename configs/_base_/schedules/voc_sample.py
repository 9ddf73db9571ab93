# A few minutes on two cores; ours. As voc_resnet38.py, but for its length.
_base_ = "./voc_resnet38.py"
train_cfg = dict(max_iters=300, val_interval=100)
warm_up, decay = _base_.param_scheduler
param_scheduler = [dict(warm_up, end=9), dict(decay, begin=9, end=300)]
default_hooks = dict(checkpoint=dict(interval=100), visualization=dict(interval=5))
del warm_up, decay  # of no use to --cfg-options: the schedule's parts have their own keys
