# The search of LTH4SA, Table III, by a genetic algorithm: the
# Share-EAN supernet of ResNet-164 with SE on CIFAR-100, and the three best schemes trained from scratch; otherwise as
# c100_resnet164_ean_se.py.
# Ours: its details, which the papers leave out.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/c100_resnet164_ga_se.py
_base_ = "./c100_resnet164_ean_se.py"
search = dict(method="ga", args=dict(_delete_=True))
