# The search of LTH4SA, Table III, by ENAS: the
# Share-EAN supernet of ResNet-164 with SE on CIFAR-100, and the three best schemes trained from scratch; otherwise as
# c100_resnet164_ean_se.py.
# 1,000 steps of one scheme, as the papers have EAN's.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/c100_resnet164_enas_se.py
_base_ = "./c100_resnet164_ean_se.py"
search = dict(method="enas", args=dict(_delete_=True, steps=1000))
