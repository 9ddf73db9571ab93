# The search of LTH4SA, Table III, by the heuristic selection policy: the
# Share-EAN supernet of ResNet-164 with SE on CIFAR-100, and the three best schemes trained from scratch; otherwise as
# c100_resnet164_ean_se.py.
# Nothing in it is random.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/c100_resnet164_hsp_se.py
_base_ = "./c100_resnet164_ean_se.py"
search = dict(method="hsp", args=dict(_delete_=True))
