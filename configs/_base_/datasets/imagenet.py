# ImageNet-1k in its usual layout, train/<class>/* and val/<class>/*: D_val is the first 100 files of each class of
# train (as in the authors' code), the test images are those of val.
data_root = "imagenet"
train_dataloader = dict(
    batch_size=256,
    num_workers=16,
    persistent_workers=True,
    sampler=dict(type="ResumableSampler", shuffle=True),
    dataset=dict(type="ImageFolder", data_root=data_root, split="train", augment=["resized_crop", "flip"]),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=16,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ImageFolder", data_root=data_root, split="val"),
)
test_dataloader = dict(
    batch_size=250,
    num_workers=16,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ImageFolder", data_root=data_root, split="test"),
)
# What recalibration takes its statistics from: images of D_train as they are evaluated, without augmentation.
calibration_dataset = dict(type="ImageFolder", data_root=data_root, split="train", images=1024)
val_evaluator = test_evaluator = dict(type="TopKMetric")
val_cfg = dict()
test_cfg = dict()
