# CIFAR-100, ResNet-38 from scratch by the papers' recipe: SE in every block, one module per stage (Full-Share).
# Result: not yet run. Published: see `python tools/backbones.py show resnet38_full_share_se.cifar100`.
# Hardware and recipe: as c100_resnet38_resnet.py.
# Command: python tools/train.py configs/c100_resnet38_full_share_se.py
_base_ = "./c100_resnet38_resnet.py"
model = dict(backbone=dict(name="resnet38_full_share_se.cifar100"))
