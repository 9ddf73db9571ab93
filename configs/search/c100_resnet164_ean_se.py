# EAN, Algorithm 1, on CIFAR-100 with ResNet-164 and SE, 54 blocks: the Share-EAN supernet, its search by policy
# gradient, and the three best schemes trained from scratch beside the plain network, Full-SA and Full-Share. Ours: the
# controller is the mended one, and the budget counts distinct schemes. The papers' 1,000 steps of one scheme:
# c100_resnet164_ean_se_paper.py.
# Hardware: one GPU.
# Command: python tools/search.py configs/search/c100_resnet164_ean_se.py
supernet = dict(config="../supernet/c100_resnet164_full_share_se.py", seed=0)
search = dict(method="ean", args=dict(variant="fixed"), budget=1000, seed=0, objective=dict(lambda1=2.0, lambda2=1.0))
standalone = dict(
    config="../standalone/c100_resnet164.py", candidates=3, beside=["plain", "full_sa", "full_share"], seed=0
)
