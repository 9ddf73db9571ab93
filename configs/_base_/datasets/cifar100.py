# CIFAR-100: D_train 40,000 images, D_val 10,000 (100 a class, held out of the training set by val_seed), test 10,000.
#
# Searches look at D_val only; the test images are for stand-alone evaluation (tools/test.py). Batches are put together
# in the main process: the images are in memory, and a batch takes about a millisecond.
data_root = "cifar-100-python"
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    sampler=dict(type="ResumableSampler", shuffle=True),
    dataset=dict(type="Cifar100", data_root=data_root, split="train", augment=["crop", "flip"]),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="Cifar100", data_root=data_root, split="val"),
)
test_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="Cifar100", data_root=data_root, split="test"),
)
# What recalibration takes its statistics from: images of D_train as they are evaluated, without augmentation.
calibration_dataset = dict(type="Cifar100", data_root=data_root, split="train", images=1024)
val_evaluator = test_evaluator = dict(type="TopKMetric")
val_cfg = dict()
test_cfg = dict()
