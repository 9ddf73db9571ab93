# The whole of Algorithm 1 on scikit-learn's digits, for trials: ResNet-38 with SE, Share-EAN.
# Needs scikit-learn.
# Result: not yet run.
# Hardware: 1 CPU core, about half an hour.
# Command: python tools/search.py configs/search/digits_resnet38_ean_se.py
supernet = dict(config="../supernet/digits_resnet38_full_share_se.py", seed=0)
search = dict(method="ean", args=dict(variant="fixed"), budget=64, seed=0)
standalone = dict(
    config="../standalone/digits_resnet38.py", candidates=3, beside=["plain", "full_sa", "full_share"], seed=0
)
