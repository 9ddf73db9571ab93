# c100_resnet38.py for CPUs in a hurry: 6 epochs instead of 100.
# Result: test top-1 35.3 plain, 41.4 Full-Share (seed 0, --amp); see results/search/c100_resnet38_ean_se_6ep.
# Hardware: 1 CPU core, about 20 minutes with --amp.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/c100_resnet38_ean_se_6ep.py --amp
_base_ = "./c100_resnet38.py"
max_iters = 1_875  # 6 epochs of 40,000 images in batches of 128
train_cfg = dict(max_iters=max_iters, val_interval=625)
param_scheduler = dict(T_max=max_iters)
default_hooks = dict(checkpoint=dict(interval=250))
