# Counting on ShanghaiTech part B with DIA in every block, a cell per stage (Full-Share).
# Result: not yet run. Published for this cell (recipe unstated): MAE/MSE 9.1/14.9.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/shhb_full_share_dia.py
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/shhb.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50_full_share_dia.imagenet"))
