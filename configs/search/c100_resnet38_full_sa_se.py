# EAN, Algorithm 1, on CIFAR-100 with ResNet-38 and SE, one module per block (LTH4SA, Table I, Full-SA): the EAN
# supernet, its search, and the three best schemes trained from scratch; otherwise as c100_resnet38_ean_se.py.
# Result: not yet run.
# Hardware: one GPU, or days on 2 CPU cores.
# Command: python tools/search.py configs/search/c100_resnet38_full_sa_se.py
_base_ = "./c100_resnet38_ean_se.py"
supernet = dict(config="../supernet/c100_resnet38_full_sa_se.py")
