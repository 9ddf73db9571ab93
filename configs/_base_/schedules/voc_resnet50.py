# Fine-tuning a pre-trained ResNet-50, 20,000 iterations (109 epochs of 1,464 images); ours:
# the papers state no schedule.
#
# SGD at 0.01, momentum 0.9, weight decay 1e-4 and polynomial decay of power 0.9 are PSPNet's; trunk, attention modules
# and heads learn at one rate, as in mmsegmentation.
max_iters = 20000
train_cfg = dict(type="ResumableTrainLoop", max_iters=max_iters, val_interval=2000)
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0001), clip_grad=None
)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=1e-4, begin=0, end=max_iters, by_epoch=False)]
# No `save_best`: VOC's test masks are not public, results are reported on val, and no choice may be made by them. What
# counts is the last checkpoint.
default_hooks = dict(
    checkpoint=dict(type="PlainCheckpointHook", interval=2000, max_keep_ckpts=1),
    visualization=dict(type="SegVisualizationHook", draw=True, interval=500),
)
custom_hooks = [dict(type="SegmentationChecksHook"), dict(type="ClassTableHook"), dict(type="SegmentationCurveHook")]
del max_iters  # of no use to --cfg-options: the schedule's parts have their own keys
