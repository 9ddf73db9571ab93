# ShanghaiTech part A for CPUs: crops of 256, batch 8; val as in shha.py.
_base_ = "./shha.py"
train_pipeline = [
    dict(type="CrowdRandomCrop", size=256, ratio_range=(0.75, 1.33)),
    dict(type="CrowdRandomFlip"),
    dict(type="DensityTarget", stride=8, sigma=8.0),
    dict(type="PackCrowd"),
]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline, cache_images=True))
del train_pipeline  # of no use to --cfg-options: each loader has its own keys
