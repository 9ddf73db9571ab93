# Training from scratch on two cores in about half an hour; ours.
#
# AdamW at 1e-3, 3 % warm-up, cosine to zero: annealing to the end matters, mid-run validations swing by hundreds of
# heads. Averaged weights and batch statistics (EMA .995; less at first, to forget the start). Validation every 10 %.
max_iters = 1500
warm_up = 45
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=150)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=0.001, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="CosineAnnealingLR", by_epoch=False, begin=warm_up, end=max_iters, T_max=max_iters - warm_up, eta_min=0.0
    ),
]
# `save_best` looks at the validation pictures, never at the test set. Validation sees the averaged weights, and they
# are what a checkpoint's `state_dict` holds.
default_hooks = dict(
    checkpoint=dict(type="PlainCheckpointHook", interval=150, max_keep_ckpts=1, save_best="mae", rule="less"),
)
custom_hooks = [
    dict(type="EMAHook", ema_type="MomentumAnnealingEMA", momentum=0.005, gamma=5, update_buffers=True),
    dict(type="DensityPictureHook", images=3),
    dict(type="CurvePictureHook"),
    dict(type="DomainHook"),
]
del max_iters, warm_up  # of no use to --cfg-options: the schedule's parts have their own keys
