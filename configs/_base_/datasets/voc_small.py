# 440 real VOC pictures with a long side of about 274 pixels, split 294/146 (ours: not comparable with published mIoU).
#
# As voc.py, at about a quarter of its resolution: what a small network needs in half an hour from scratch is to see
# many pictures, so crops are of 128 and there are 16 in a batch. Without rotation, which costs a tenth of the time.
data_root = "VOC_small/VOC2012"
side = 144
crop = (128, 128)
train_pipeline = [
    dict(type="LoadPicture"),
    dict(type="LoadMask"),
    dict(type="RandomResize", scale=(side, side), ratio_range=(0.75, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop, cat_max_ratio=0.75),
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
                for ratio in (1.0, 1.5, 2.0)
            ],
            [dict(type="RandomFlip", prob=float(flip), direction="horizontal") for flip in (0, 1)],
            [dict(type="LoadMask")],
            [dict(type="PackSegInputs")],
        ],
    ),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
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
del data_root, side, crop, train_pipeline, test_pipeline  # of no use to --cfg-options: each loader has its own keys
