# c100_resnet38.py for CPUs: 20 epochs instead of 100.
# Result: not yet run.
# Hardware: 2 CPU cores, about an hour with --amp.
# Command: OMP_NUM_THREADS=2 python tools/search.py configs/search/c100_resnet38_ean_se_20ep.py --amp
_base_ = "./c100_resnet38.py"
max_iters = 6_250  # 20 epochs of 40,000 images in batches of 128
train_cfg = dict(max_iters=max_iters, val_interval=1250)
param_scheduler = dict(T_max=max_iters)
default_hooks = dict(checkpoint=dict(interval=250))
