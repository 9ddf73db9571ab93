# Counting on ShanghaiTech part B with SE in the blocks of a connection scheme, a module per stage (Share-EAN);
# the SE scheme was never published, the SGE scheme stands in.
# Result: not yet run. Published for this cell (recipe unstated): MAE/MSE 8.6/14.7.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/shhb_ean_se.py
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/shhb.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50_share_ean_se.standin"))
