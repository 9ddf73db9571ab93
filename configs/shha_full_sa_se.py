# Counting on ShanghaiTech part A with SE in every block, a module per block (Full-SA).
# Result: not yet run. Published for this cell (recipe unstated): MAE/MSE 89.9/140.2.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/shha_full_sa_se.py
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/shha.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50_full_sa_se.imagenet"))
