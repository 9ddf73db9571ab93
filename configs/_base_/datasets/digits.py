# scikit-learn's digits (grey, 8 x 8): D_train 797 images, D_val 500 and test 500 (50 a class each). For trials.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="ResumableSampler", shuffle=True),
    dataset=dict(type="Digits", split="train"),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="Digits", split="val"),
)
test_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="Digits", split="test"),
)
# What recalibration takes its statistics from.
calibration_dataset = dict(type="Digits", split="train", images=512)
val_evaluator = test_evaluator = dict(type="TopKMetric")
val_cfg = dict()
test_cfg = dict()
