# 440 real VOC images with a long side of about 274 pixels, split 294/146 (ours: not comparable with published mIoU).
#
# As voc.py, at about a quarter of its resolution: what a small network needs in half an hour from scratch is to see
# many images, so crops are of 128 and there are 16 in a batch. Without rotation, which costs a tenth of the time.
_base_ = "./voc.py"
data_root = "VOC_small/VOC2012"
side = (144, 144)
load, mask, resize, _, crop, flip, pack = _base_.train_dataloader.dataset.pipeline
train_pipeline = [
    load,
    mask,
    dict(resize, scale=side, ratio_range=(0.75, 2.0)),
    dict(crop, crop_size=(128, 128)),
    flip,
    pack,
]
load, resize, mask, pack = _base_.test_dataloader.dataset.pipeline
test_pipeline = [load, dict(resize, scale=side), mask, pack]
load, augment = _base_.tta_pipeline
scales = [dict(resize, scale=(long_side, long_side)) for long_side in (144, 216, 288)]
tta_pipeline = [load, dict(augment, transforms=[scales, *augment.transforms[1:]])]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
# Of no use to --cfg-options: each loader has its own keys.
del data_root, side, load, mask, resize, _, crop, flip, pack, augment, scales, train_pipeline, test_pipeline
