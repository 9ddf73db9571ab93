# Supernet on scikit-learn's digits: ResNet-38 (12 blocks, 4,096 schemes) with one SE module per block (EAN).
# For trials; ours.
# Needs scikit-learn.
# Result: see results/search/digits_study.
# Hardware: 1 CPU core, a few minutes.
# Command: python tools/train.py configs/supernet/digits_resnet38_full_sa_se.py
_base_ = "./digits_resnet38_full_share_se.py"
model = dict(backbone=dict(name="resnet38_full_sa_se.cifar100"))
