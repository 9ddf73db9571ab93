# The supernet of c100_resnet38_full_sa_se.py for CPUs: 20 epochs instead of 150.
# Result: 53.7 percent top-1 on D_val with every block connected, running statistics (seed 0, --amp).
# Hardware: 2 CPU cores, about two hours.
# Command: OMP_NUM_THREADS=2 python tools/train.py configs/supernet/c100_resnet38_full_sa_se_20ep.py
_base_ = "./c100_resnet38_full_sa_se.py"
max_iters = 6_250  # 20 epochs of 40,000 images in batches of 128
train_cfg = dict(max_iters=max_iters, val_interval=625)
param_scheduler = dict(T_max=max_iters)
default_hooks = dict(checkpoint=dict(interval=250))
