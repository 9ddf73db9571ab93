# Training from scratch on two cores in about half an hour; ours.
#
# AdamW at 1e-3 with 3 % warm-up and polynomial decay to zero: it learns faster than SGD from so few images.
max_iters = 4000
warm_up = 60
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=500)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=0.001, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=warm_up, end=max_iters, by_epoch=False),
]
# No `save_best`: VOC's test masks are not public, results are reported on val, and no choice may be made by them. What
# counts is the last checkpoint.
default_hooks = dict(
    checkpoint=dict(type="PlainCheckpointHook", interval=500, max_keep_ckpts=1),
    visualization=dict(type="SegVisualizationHook", draw=True, interval=40),
)
custom_hooks = [dict(type="SegmentationChecksHook"), dict(type="ClassTableHook"), dict(type="SegmentationCurveHook")]
del max_iters, warm_up  # of no use to --cfg-options: the schedule's parts have their own keys
