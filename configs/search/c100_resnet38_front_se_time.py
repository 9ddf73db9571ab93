# The front of accuracy against measured inference-time increment on CIFAR-100 by NSGA-II: ResNet-38 with SE, Share-EAN.
# search.json gets the front and its hypervolume; candidates for stand-alone training are the best by the weighted sum.
# Result: not yet run.
# Hardware: one GPU, or days on 2 CPU cores (see c100_resnet38_ean_se_20ep.py).
# Needs pymoo.
# Command: python tools/search.py configs/search/c100_resnet38_front_se_time.py
_base_ = "./c100_resnet38_ean_se_time.py"
search = dict(method="nsga2", args=dict(_delete_=True, population=20))
