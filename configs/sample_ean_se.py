# The demonstration: a Share-EAN ResNet-38 learns to count people in generated scenes.
# Result: MAE 35.2 (22.3 to 49.8), MSE 49.4 (30.0 to 66.7), seed 0, two threads, on a processor without
# AVX512, where others round differently; always saying the training median gets 188.0/246.0.
# Hardware: 2 CPU cores, 3 minutes.
# Command: python tools/make_scenes.py counting data/sample_counting --images 120 --seed 0
#          python tools/train.py configs/sample_ean_se.py
_base_ = [
    "_base_/models/counter_resnet38.py",
    "_base_/datasets/sample_counting.py",
    "_base_/schedules/counting_sample.py",
    "_base_/default_runtime.py",
]
trained_on = "generated drawings: do not trust it on photographs"
model = dict(backbone=dict(name="resnet38_share_ean_se.standin"))
