# EAN, Algorithm 1, on CIFAR-100: the Share-EAN supernet of ResNet-38 with SE, its search by policy gradient, and the
# three best schemes trained from scratch beside the plain network, Full-SA and Full-Share. File names are relative to
# this file. Ours: the budget (the papers count steps: 1,000 for ResNet-164).
# Result: not yet run.
# Hardware: one GPU, or days on 2 CPU cores (see c100_resnet38_ean_se_20ep.py).
# Command: python tools/search.py configs/search/c100_resnet38_ean_se.py
supernet = dict(config="../supernet/c100_resnet38_full_share_se.py", seed=0)
search = dict(method="ean", args=dict(variant="fixed"), budget=256, seed=0, objective=dict(lambda1=2.0, lambda2=1.0))
standalone = dict(
    config="../standalone/c100_resnet38.py", candidates=3, beside=["plain", "full_sa", "full_share"], seed=0
)
