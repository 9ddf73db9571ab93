# Generated scenes in VOC's own layout, written by
#   python tools/make_scenes.py segmentation data/sample_segmentation --images 60 --seed 0
_base_ = "./voc.py"
data_root = "sample_segmentation/VOC2012"
side = (160, 160)
load, mask, resize, _, crop, flip, pack = _base_.train_dataloader.dataset.pipeline  # all but the rotation
train_pipeline = [load, mask, dict(resize, scale=side), dict(crop, crop_size=(128, 128)), flip, pack]
load, resize, mask, pack = _base_.test_dataloader.dataset.pipeline
test_pipeline = [load, dict(resize, scale=side), mask, pack]
load, augment = _base_.tta_pipeline
scales = [dict(resize, scale=(long_side, long_side)) for long_side in (120, 160, 200)]
tta_pipeline = [load, dict(augment, transforms=[scales, *augment.transforms[1:]])]
train_dataloader = dict(num_workers=1, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
# Of no use to --cfg-options: each loader has its own keys.
del data_root, side, load, mask, resize, _, crop, flip, pack, augment, scales, train_pipeline, test_pipeline
