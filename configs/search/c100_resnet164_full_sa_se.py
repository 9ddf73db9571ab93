# EAN, Algorithm 1, on CIFAR-100 with ResNet-164 and SE, one module per block (LTH4SA, Table I, Full-SA): the EAN
# supernet, its search, and the three best schemes trained from scratch; otherwise as c100_resnet164_ean_se.py.
# Result: not yet run.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/c100_resnet164_full_sa_se.py
_base_ = "./c100_resnet164_ean_se.py"
supernet = dict(config="../supernet/c100_resnet164_full_sa_se.py")
