# Counting on JHU-CROWD++ with SE in the blocks of a connection scheme, one module per stage (Share-EAN); the SE scheme
# was never published, the SGE scheme stands in. Validation is on the official val set.
# Result: not yet run. The papers have no figure for this data set.
# Hardware: one GPU with 24 GB.
# Command: python tools/train.py configs/jhu_ean_se.py
_base_ = [
    "_base_/models/counter_resnet50.py",
    "_base_/datasets/jhu.py",
    "_base_/schedules/counting_resnet50.py",
    "_base_/default_runtime.py",
]
model = dict(backbone=dict(name="resnet50_share_ean_se.standin"))
