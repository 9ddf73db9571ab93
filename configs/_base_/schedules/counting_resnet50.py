# Fine-tuning a pre-trained ResNet-50; ours, since the papers state no schedule.
#
# AdamW at 1e-4: C-3's 1e-5 belongs to whole pictures, batch 1; attention modules and decoder start fresh and want
# more, and crops in batches of 8 with warm-up, cosine and clipped gradients carry it. Averaged weights (EMA .999) take
# out the swings of single validations, which are bias of hundreds of heads.
max_iters = 12000
warm_up = 360
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=400)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=0.0001, weight_decay=0.0001),
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
    checkpoint=dict(type="PlainCheckpointHook", interval=400, max_keep_ckpts=1, save_best="mae", rule="less"),
)
custom_hooks = [
    dict(type="EMAHook", ema_type="MomentumAnnealingEMA", gamma=5, momentum=0.001, update_buffers=True),
    dict(type="DensityPictureHook", images=3),
    dict(type="CurvePictureHook"),
    dict(type="DomainHook"),
]
del max_iters, warm_up  # of no use to --cfg-options: the schedule's parts have their own keys
