# Pascal VOC 2012 as it is unpacked: 1,464 training images, results on the 1,449 of val, whose masks are public.
#
# Scales are relative to a long side of 500, VOC's own, so that the test sees its images unchanged and images of any
# other size as those. Random scale 0.5 to 2, rotation by up to 10 degrees, crops of 473 and flips, as in PSPNet's own
# code; batch 8 is ours. Id 255, the void around objects, counts for nothing: the default of the data sets'
# ignore_index, which heads, losses, metrics and padding follow.
#
# Crops of 512, as in mmsegmentation's configs:
#   --cfg-options train_dataloader.dataset.pipeline.4.crop_size=(512,512) model.data_preprocessor.size=(512,512)
data_root = "VOCdevkit/VOC2012"
side = 500
train_pipeline = [
    dict(type="LoadPicture"),
    dict(type="LoadMask"),
    dict(type="RandomResize", scale=(side, side), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomRotate", prob=0.5, degree=10, pad_val=0),
    dict(type="RandomCrop", crop_size=(473, 473), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
# Masks are loaded after resizing: predictions are brought back to the picture's own size and compared there.
test_pipeline = [
    dict(type="LoadPicture"),
    dict(type="Resize", scale=(side, side), keep_ratio=True),
    dict(type="LoadMask"),
    dict(type="PackSegInputs"),
]
tta_pipeline = [
    dict(type="LoadPicture"),
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="Resize", scale=(int(side * ratio), int(side * ratio)), keep_ratio=True)
                for ratio in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [dict(type="RandomFlip", prob=float(flip), direction="horizontal") for flip in (0, 1)],
            [dict(type="LoadMask")],
            [dict(type="PackSegInputs")],
        ],
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="ResumableSampler", shuffle=True),
    dataset=dict(
        type="VOCLayoutDataset",
        data_root=data_root,
        ann_file="ImageSets/Segmentation/train.txt",
        pipeline=train_pipeline,
    ),
)
val_dataloader = test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="VOCLayoutDataset",
        data_root=data_root,
        ann_file="ImageSets/Segmentation/val.txt",
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_evaluator = test_evaluator = dict(type="SegmentationMetric")
val_cfg = dict()
test_cfg = dict()
del data_root, side, train_pipeline, test_pipeline  # of no use to --cfg-options: each loader has its own keys
