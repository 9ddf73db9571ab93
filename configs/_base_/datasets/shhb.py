# ShanghaiTech part B, 360 / 40 / 316 as in the papers; val is carved out of the official training set.
#
# All images are 1024 x 768: crops of 512, batch 8. Sigma 8 pixels, as on part A.
_base_ = "./shha.py"
data_root = "ShanghaiTech/part_B"
train_pipeline = [
    dict(type="CrowdRandomScale", ratio_range=(0.75, 1.33)),
    dict(type="CrowdRandomCrop", size=512),
    dict(type="CrowdRandomFlip"),
    dict(type="DensityTarget", stride=8, sigma=8.0),
    dict(type="PackCrowd"),
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root))
del data_root, train_pipeline  # of no use to --cfg-options: each loader has its own keys
