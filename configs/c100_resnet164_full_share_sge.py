# CIFAR-100, ResNet-164 from scratch by the papers' recipe: SGE in every block, one module per stage (Full-Share).
# Result: not yet run. Published: see `python tools/backbones.py show resnet164_full_share_sge.cifar100`.
# Hardware and recipe: as c100_resnet164_resnet.py.
# Command: python tools/train.py configs/c100_resnet164_full_share_sge.py
_base_ = "./c100_resnet164_resnet.py"
model = dict(backbone=dict(name="resnet164_full_share_sge.cifar100"))
