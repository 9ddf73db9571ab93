# Counting on ShanghaiTech part A with a ResNet-38, SE where a search on CIFAR-100 connected it, a module per stage
# (Share-EAN), from that network's weights (6 epochs of CIFAR-100). From scratch:
# --cfg-options model.backbone.init=scratch
# Result: see results/counting; aim, as the mean of three seeds: MAE at most 140, MSE at most 220. The training
# median, always said, gets 238.2/359.1 (tools/check_data.py).
# Hardware: 2 CPU cores, about 30 minutes; with --amp, on cores that compute in bfloat16, about half of it.
# Command: OMP_NUM_THREADS=2 python tools/train.py configs/shha_small_ean_se.py --seed 0
_base_ = [
    "_base_/models/counter_resnet38.py",
    "_base_/datasets/shha_small.py",
    "_base_/schedules/counting_resnet38.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet38_share_ean_se.c100_6ep", init="auto"))
