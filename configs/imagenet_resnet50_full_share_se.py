# ImageNet, ResNet-50 from scratch by the papers' recipe: SE in every block, one module per stage (Full-Share).
# Result: not yet run. Published: see `python tools/backbones.py show resnet50_full_share_se.imagenet`.
# Hardware and recipe: as imagenet_resnet50_resnet.py.
# Command: python tools/train.py configs/imagenet_resnet50_full_share_se.py
_base_ = "./imagenet_resnet50_resnet.py"
model = dict(backbone=dict(name="resnet50_full_share_se.imagenet"))
