# Tiny-ImageNet-200, photographs of 64 x 64 pixels: D_train 80,000 images, D_val 20,000 (the first 100 files of each
# class of train, as the papers hold out of ImageNet), test the official 10,000 validation images.
#
# Images are decoded as they are needed, by the process that trains: each in about half a millisecond.
data_root = "tiny-imagenet-200"
images = dict(type="ImageFolder", data_root=data_root, size=64, resize=64)
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    sampler=dict(type="ResumableSampler", shuffle=True),
    dataset=dict(**images, split="train", augment=["resized_crop", "flip"], scale=(0.35, 1.0)),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(**images, split="val"),
)
test_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(**images, split="test"),
)
# What recalibration takes its statistics from: images of D_train as they are evaluated, without augmentation.
calibration_dataset = dict(**images, split="train", images=1024)
val_evaluator = test_evaluator = dict(type="TopKMetric")
val_cfg = dict()
test_cfg = dict()
