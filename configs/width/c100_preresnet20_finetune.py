# Fine-tuning of a pruned PreResNet-20 on CIFAR-100's D_train, 4 epochs: tools/search.py replaces the backbone by the
# pruned one.
# Result: not yet run.
# Hardware: 1 CPU core, ten minutes with --amp.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/width_c100_preresnet20.py --amp
_base_ = "./c100_preresnet20_15ep.py"
max_iters = 1_250  # 4 epochs of 40,000 images in batches of 128
train_cfg = dict(max_iters=max_iters, val_interval=1250)
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = dict(T_max=max_iters)
default_hooks = dict(checkpoint=dict(interval=250))
