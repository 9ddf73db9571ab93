# Generated scenes in ShanghaiTech's own layout, written by
#   python tools/make_scenes.py counting data/sample_counting --images 120 --seed 0
_base_ = "./shha.py"
data_root = "sample_counting"
train_pipeline = [
    dict(type="CrowdRandomCrop", size=192, ratio_range=(0.75, 1.33)),
    dict(type="CrowdRandomFlip"),
    dict(type="DensityTarget", stride=8, sigma=8.0),
    dict(type="PackCrowd"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root=data_root, val_ratio=0.25, pipeline=train_pipeline, cache_images=True),
)
val_dataloader = dict(dataset=dict(data_root=data_root, val_ratio=0.25))
test_dataloader = dict(dataset=dict(data_root=data_root))
del data_root, train_pipeline  # of no use to --cfg-options: each loader has its own keys
