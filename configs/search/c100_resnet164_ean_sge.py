# EAN, Algorithm 1, on CIFAR-100 with ResNet-164 and SGE: the Share-EAN supernet, its search, and the three best schemes
# trained from scratch beside the plain network and Full-SA and Full-Share; otherwise as c100_resnet164_ean_se.py.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/c100_resnet164_ean_sge.py
_base_ = "./c100_resnet164_ean_se.py"
supernet = dict(config="../supernet/c100_resnet164_full_share_sge.py")
standalone = dict(beside=["plain", "full_sa", "full_share"])
