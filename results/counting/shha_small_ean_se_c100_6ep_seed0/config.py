custom_hooks = [
    dict(
        ema_type='MomentumAnnealingEMA',
        gamma=5,
        momentum=0.005,
        type='EMAHook',
        update_buffers=True),
    dict(images=3, type='DensityPictureHook'),
    dict(type='CurvePictureHook'),
    dict(type='IterationSeedHook'),
    dict(type='FiniteLossHook'),
    dict(type='StopInValidationHook'),
    dict(type='ProgressHook'),
    dict(type='CurveHook'),
]
custom_imports = dict(
    allow_failed_imports=False,
    imports=[
        'transfer.engine',
        'tasks.counting',
    ])
default_hooks = dict(
    checkpoint=dict(
        interval=150,
        max_keep_ckpts=1,
        rule='less',
        save_best='mae',
        type='PlainCheckpointHook'),
    logger=dict(interval=50, log_metric_by_epoch=False, type='LoggerHook'))
default_scope = 'mmengine'
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
experiment_name = 'shha_small_ean_se_0'
launcher = 'none'
log_level = 'INFO'
log_processor = dict(by_epoch=False, window_size=50)
model = dict(
    backbone=dict(
        init='full',
        name='resnet38_share_ean_se.c100_6ep',
        out_indices=(2, ),
        stem_stride=2,
        type='RegisteredBackbone'),
    channels_last=True,
    head=dict(channels=(
        64,
        64,
    ), type='DilatedHead'),
    loss=[
        dict(type='DensityMSELoss'),
        dict(sizes=(
            32,
            64,
        ), type='BlockCountLoss'),
        dict(type='CropCountLoss'),
    ],
    test_cfg=dict(max_pixels=None),
    type='CrowdCounter')
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    optimizer=dict(lr=0.001, type='AdamW', weight_decay=0.01),
    type='AutocastOptimWrapper')
param_scheduler = [
    dict(begin=0, by_epoch=False, end=45, start_factor=0.01, type='LinearLR'),
    dict(
        T_max=1455,
        begin=45,
        by_epoch=False,
        end=1500,
        eta_min=0.0,
        type='CosineAnnealingLR'),
]
randomness = dict(seed=0)
resume = False
task = 'counting'
test_cfg = dict()
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root='ShanghaiTech/part_A',
        pipeline=[
            dict(type='PackCrowd'),
        ],
        split='test',
        test_mode=True,
        type='CrowdDataset'),
    num_workers=1,
    sampler=dict(shuffle=False, type='DefaultSampler'),
    worker_init_fn=dict(type='init_worker'))
test_evaluator = dict(type='CrowdMetric')
train_cfg = dict(max_iters=1500, type='ResumableTrainLoop', val_interval=150)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        cache_images=True,
        data_root='ShanghaiTech/part_A',
        pipeline=[
            dict(ratio_range=(
                0.75,
                1.33,
            ), size=256, type='CrowdRandomCrop'),
            dict(type='CrowdRandomFlip'),
            dict(sigma=8.0, stride=8, type='DensityTarget'),
            dict(type='PackCrowd'),
        ],
        seed=0,
        split='train',
        type='CrowdDataset'),
    drop_last=True,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='ResumableSampler'),
    worker_init_fn=dict(type='init_worker'))
val_cfg = dict()
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root='ShanghaiTech/part_A',
        pipeline=[
            dict(type='PackCrowd'),
        ],
        split='val',
        test_mode=True,
        type='CrowdDataset'),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'),
    worker_init_fn=dict(type='init_worker'))
val_evaluator = dict(type='CrowdMetric')
visualizer = dict(
    type='Visualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
    ])
work_dir = 'work_dirs/shha_small_ean_se_seed0'
