# Supernet on CIFAR-100: ResNet-164 with one SGE module per stage (Share-EAN), one Bernoulli scheme an iteration, on
# D_train; otherwise as c100_resnet164_full_share_se.py.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/train.py configs/supernet/c100_resnet164_full_share_sge.py
_base_ = "./c100_resnet164_full_share_se.py"
model = dict(backbone=dict(name="resnet164_full_share_sge.cifar100"))
