# Counting on ShanghaiTech part A with SE in the blocks of a connection scheme, a module per stage (Share-EAN);
# the SE scheme was never published, the SGE scheme stands in.
# Result: not yet run. Published for this cell (recipe unstated): MAE/MSE 79.4/127.7.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/shha_ean_se.py
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/shha.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50_share_ean_se.standin"))
