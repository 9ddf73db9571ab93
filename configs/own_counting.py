# Counting in images of your own: a copy of this file, with your data_root and noun, is all that you need. As it stands
# it takes data/own_counting, which `ean import-points` writes from what annotation tools write (docs/data.md):
#     ean import-points photos --out data/own_counting
# Result: depends on your images; what to hold it against: tools/check_data.py configs/own_counting.py
# Hardware: 2 CPU cores, about 30 minutes; with --amp, on cores that compute in bfloat16, about half of it.
# Command: OMP_NUM_THREADS=2 python tools/train.py configs/own_counting.py --seed 0
_base_ = [
    "_base_/models/counter_resnet38.py",
    "_base_/datasets/shha_small.py",
    "_base_/schedules/counting_resnet38.py",
    "_base_/default_runtime.py",
]
data_root = "own_counting"  # as it stands, under data/, or in the folder that TRANSFER_DATA names
noun = "people"  # what is counted, for captions and tables: "cars", "cells", ...
model = dict(noun=noun, backbone=dict(name="resnet38_share_ean_se.c100_6ep", init="auto"))
where = dict(data_root=data_root, layout="folder")
train_dataloader = dict(dataset=where)
val_dataloader = test_dataloader = dict(dataset=where)
del data_root, noun, where  # of no use to --cfg-options: each loader has its own keys
