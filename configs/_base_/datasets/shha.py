# ShanghaiTech part A, 270 / 30 / 182 as in the papers; val is carved out of the official training set.
#
# Crops of 448 (71 training images are smaller and are enlarged), batch 8: batch normalisation gets 8 images a step.
# Sigma 8 pixels, a cell's side: geometry-adaptive kernels spread lone heads over up to 94 pixels, and the count terms
# of the loss want heads where they are.
data_root = "ShanghaiTech/part_A"
stride = 8
train_pipeline = [
    dict(type="CrowdRandomScale", ratio_range=(0.75, 1.33)),
    dict(type="CrowdRandomCrop", size=448),
    dict(type="CrowdRandomFlip"),
    dict(type="DensityTarget", stride=stride, sigma=8.0),
    dict(type="PackCrowd"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="ResumableSampler", shuffle=True),
    dataset=dict(type="CrowdDataset", data_root=data_root, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CrowdDataset", data_root=data_root, split="val", pipeline=[dict(type="PackCrowd")], test_mode=True
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CrowdDataset", data_root=data_root, split="test", pipeline=[dict(type="PackCrowd")], test_mode=True
    ),
)
val_evaluator = test_evaluator = dict(type="CrowdMetric")
val_cfg = dict()
test_cfg = dict()
del data_root, stride, train_pipeline  # of no use to --cfg-options: each loader has its own keys
