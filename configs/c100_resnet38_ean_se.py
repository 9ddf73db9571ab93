# CIFAR-100, ResNet-38 from scratch by the papers' recipe: SE in every second block, one module per stage; it stands in
# for a searched Share-EAN scheme.
# Result: not yet run. Published: see `python tools/backbones.py show resnet38_share_ean_se.standin`.
# Hardware and recipe: as c100_resnet38_resnet.py.
# Command: python tools/train.py configs/c100_resnet38_ean_se.py
_base_ = "./c100_resnet38_resnet.py"
model = dict(backbone=dict(name="resnet38_share_ean_se.standin"))
