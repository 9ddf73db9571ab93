# EAN, Algorithm 1, on ImageNet with ResNet-50 and SGE, 16 blocks: the Share-EAN supernet, its search by policy
# gradient, and the three best schemes trained from scratch beside the plain network and Full-Share. Ours: the
# controller is the mended one, and the budget counts distinct schemes (the released code: 300 steps of three schemes).
# Result: not yet run.
# Hardware: 4 to 8 GPUs; train the supernet with torchrun first and name it in supernet.checkpoint.
# Command: python tools/search.py configs/search/imagenet_resnet50_ean_sge.py
#          --cfg-options supernet.checkpoint=work_dirs/imagenet_resnet50_full_share_sge/iter_184557.pth
supernet = dict(config="../supernet/imagenet_resnet50_full_share_sge.py", seed=0)
search = dict(method="ean", args=dict(variant="fixed"), budget=900, seed=0, objective=dict(lambda1=2.0, lambda2=1.0))
standalone = dict(config="../standalone/imagenet_resnet50.py", candidates=3, beside=["plain", "full_share"], seed=0)
