# EAN, Algorithm 1, on CIFAR-100 with ResNet-164 and SE as the papers say: T = 1,000 steps of one scheme each, of which
# the distinct ones are evaluated; otherwise as c100_resnet164_ean_se.py.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/c100_resnet164_ean_se_paper.py
_base_ = "./c100_resnet164_ean_se.py"
search = dict(args=dict(variant="paper", steps=1000))
