# Counting on ShanghaiTech part B with DIA in the blocks of the published scheme, a cell per stage (Share-EAN).
# Result: not yet run. Published for this cell (recipe unstated): MAE/MSE 8.2/13.9.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/shhb_ean_dia.py
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/shhb.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50_share_ean_dia.imagenet"))
