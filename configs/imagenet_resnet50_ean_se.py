# ImageNet, ResNet-50 from scratch by the papers' recipe: SE in the blocks of the stand-in scheme (that of SGE, as
# that of SE was never published), one module per stage (Share-EAN).
# Result: not yet run. No scheme of SE is published for ResNet-50, so neither is a figure of this one.
# Hardware and recipe: as imagenet_resnet50_resnet.py.
# Command: python tools/train.py configs/imagenet_resnet50_ean_se.py
_base_ = "./imagenet_resnet50_resnet.py"
model = dict(backbone=dict(name="resnet50_share_ean_se.standin"))
