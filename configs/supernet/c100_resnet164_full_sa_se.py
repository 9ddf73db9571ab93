# Supernet on CIFAR-100: ResNet-164 with one SE module per block (EAN),
# one Bernoulli scheme an iteration, on D_train.
# 150 epochs as in the papers; that the rate follows a cosine is ours.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/train.py configs/supernet/c100_resnet164_full_sa_se.py
_base_ = "./c100_resnet164_full_share_se.py"
model = dict(backbone=dict(name="resnet164_full_sa_se.cifar100"))
