# CIFAR-100, ResNet-164 from scratch by the papers' recipe: SE in the blocks of the published scheme ENAS (a), one
# module per stage.
# Result: not yet run. Published: see `python tools/backbones.py show resnet164_share_enas_se_a.cifar100`.
# Hardware and recipe: as c100_resnet164_resnet.py.
# Command: python tools/train.py configs/c100_resnet164_enas_se_a.py
_base_ = "./c100_resnet164_resnet.py"
model = dict(backbone=dict(name="resnet164_share_enas_se_a.cifar100"))
