# Fine-tuning of a pruned PreResNet-20 on digits: tools/search.py replaces the backbone by the pruned one.
# Needs scikit-learn.
# Result: not yet run.
# Hardware: 1 CPU core, a minute.
# Command: python tools/search.py configs/search/width_digits_preresnet20.py
_base_ = "./digits_preresnet20.py"
max_iters = 120  # 10 epochs
train_cfg = dict(max_iters=max_iters, val_interval=60)
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = dict(T_max=max_iters)
default_hooks = dict(checkpoint=dict(interval=60))
