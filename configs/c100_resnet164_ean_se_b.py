# CIFAR-100, ResNet-164 from scratch by the papers' recipe: SE in the blocks of the published scheme EAN (b), one
# module per stage.
# Result: not yet run. Published: see `python tools/backbones.py show resnet164_share_ean_se_b.cifar100`.
# Hardware and recipe: as c100_resnet164_resnet.py.
# Command: python tools/train.py configs/c100_resnet164_ean_se_b.py
_base_ = "./c100_resnet164_resnet.py"
model = dict(backbone=dict(name="resnet164_share_ean_se_b.cifar100"))
