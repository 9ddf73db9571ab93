custom_hooks = [
    dict(type='SegmentationChecksHook'),
    dict(type='ClassTableHook'),
    dict(type='SegmentationCurveHook'),
    dict(type='IterationSeedHook'),
    dict(type='FiniteLossHook'),
    dict(type='StopInValidationHook'),
    dict(type='ProgressHook'),
    dict(type='CurveHook'),
]
custom_imports = dict(
    allow_failed_imports=False, imports=[
        'tasks.segmentation',
    ])
default_hooks = dict(
    checkpoint=dict(
        interval=500, max_keep_ckpts=1, type='PlainCheckpointHook'),
    logger=dict(interval=50, log_metric_by_epoch=False, type='LoggerHook'),
    visualization=dict(draw=True, interval=40, type='SegVisualizationHook'))
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
experiment_name = 'voc_small_ean_se_0'
launcher = 'none'
load_from = 'work_dirs/voc_small_ean_se_seed0/iter_336.pth'
log_level = 'INFO'
log_processor = dict(by_epoch=False, window_size=50)
model = dict(
    auxiliary_head=dict(
        align_corners=False,
        channels=32,
        concat_input=False,
        dropout_ratio=0.1,
        in_channels=128,
        in_index=0,
        loss_decode=dict(
            avg_non_ignore=True, loss_weight=0.4, type='CrossEntropyLoss'),
        norm_cfg=dict(requires_grad=True, type='BN'),
        num_classes=21,
        num_convs=1,
        type='FCNHead'),
    backbone=dict(
        channels_last=True,
        init='full',
        name='resnet38_share_ean_se.c100_6ep',
        out_indices=(
            1,
            2,
        ),
        stem_stride=2,
        type='RegisteredBackbone'),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[
            125.307,
            122.961,
            113.8575,
        ],
        pad_val=0,
        seg_pad_val=255,
        size=(
            128,
            128,
        ),
        std=[
            51.5865,
            50.847,
            51.255,
        ],
        type='SegDataPreProcessor'),
    decode_head=dict(
        align_corners=False,
        channels=64,
        dropout_ratio=0.1,
        in_channels=256,
        in_index=1,
        loss_decode=dict(
            avg_non_ignore=True, loss_weight=1.0, type='CrossEntropyLoss'),
        norm_cfg=dict(requires_grad=True, type='BN'),
        num_classes=21,
        pool_scales=(
            1,
            2,
            3,
            6,
        ),
        type='PSPHead'),
    test_cfg=dict(mode='whole'),
    train_cfg=dict(),
    type='EncoderDecoder')
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    optimizer=dict(lr=0.001, type='AdamW', weight_decay=0.01),
    type='AutocastOptimWrapper')
param_scheduler = [
    dict(begin=0, by_epoch=False, end=60, start_factor=0.01, type='LinearLR'),
    dict(
        begin=60,
        by_epoch=False,
        end=4000,
        eta_min=0.0,
        power=0.9,
        type='PolyLR'),
]
randomness = dict(seed=0)
resume = True
sync_bn = 'torch'
task = 'segmentation'
test_cfg = dict()
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        ann_file='ImageSets/Segmentation/val.txt',
        data_root='VOC_small/VOC2012',
        pipeline=[
            dict(type='LoadPicture'),
            dict(keep_ratio=True, scale=(
                144,
                144,
            ), type='Resize'),
            dict(type='LoadMask'),
            dict(type='PackSegInputs'),
        ],
        test_mode=True,
        type='VOCLayoutDataset'),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'),
    worker_init_fn=dict(type='init_worker'))
test_evaluator = dict(type='SegmentationMetric')
train_cfg = dict(max_iters=4000, type='ResumableTrainLoop', val_interval=500)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        ann_file='ImageSets/Segmentation/train.txt',
        data_root='VOC_small/VOC2012',
        pipeline=[
            dict(type='LoadPicture'),
            dict(type='LoadMask'),
            dict(
                keep_ratio=True,
                ratio_range=(
                    0.75,
                    2.0,
                ),
                scale=(
                    144,
                    144,
                ),
                type='RandomResize'),
            dict(
                cat_max_ratio=0.75, crop_size=(
                    128,
                    128,
                ), type='RandomCrop'),
            dict(prob=0.5, type='RandomFlip'),
            dict(type='PackSegInputs'),
        ],
        seed=0,
        type='VOCLayoutDataset'),
    drop_last=True,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='ResumableSampler'),
    worker_init_fn=dict(type='init_worker'))
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadPicture'),
    dict(
        transforms=[
            [
                dict(keep_ratio=True, scale=(
                    144,
                    144,
                ), type='Resize'),
                dict(keep_ratio=True, scale=(
                    216,
                    216,
                ), type='Resize'),
                dict(keep_ratio=True, scale=(
                    288,
                    288,
                ), type='Resize'),
            ],
            [
                dict(direction='horizontal', prob=0.0, type='RandomFlip'),
                dict(direction='horizontal', prob=1.0, type='RandomFlip'),
            ],
            [
                dict(type='LoadMask'),
            ],
            [
                dict(type='PackSegInputs'),
            ],
        ],
        type='TestTimeAug'),
]
val_cfg = dict()
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        ann_file='ImageSets/Segmentation/val.txt',
        data_root='VOC_small/VOC2012',
        pipeline=[
            dict(type='LoadPicture'),
            dict(keep_ratio=True, scale=(
                144,
                144,
            ), type='Resize'),
            dict(type='LoadMask'),
            dict(type='PackSegInputs'),
        ],
        test_mode=True,
        type='VOCLayoutDataset'),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'),
    worker_init_fn=dict(type='init_worker'))
val_evaluator = dict(type='SegmentationMetric')
visualizer = dict(
    alpha=0.5,
    type='SegLocalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
    ])
work_dir = 'work_dirs/voc_small_ean_se_seed0'
