# Counting on ShanghaiTech part B with SGE in every block, a module per block (Full-SA).
# Result: not yet run; no published figure at hand for this cell.
# Hardware: one GPU with 24 GB; runs on a CPU, slowly.
# Command: python tools/train.py configs/shhb_full_sa_sge.py
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/shhb.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50_full_sa_sge.imagenet"))
