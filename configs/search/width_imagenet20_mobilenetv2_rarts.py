# RARTS thesis, Table 4.2: MobileNetV2 on 20 classes of ImageNet; a strong penalty leaves many gates at zero, and so the
# share that is pruned is learned. Beside it DARTS of both orders, and plain descent with relaxed splitting (Eq. 2.6).
# Ours: all that the thesis does not state (lambda, beta, schedule, what counts as zero).
# Result: not yet run on a GPU. Published: error 8.2 % at 71.2 % pruned (RARTS), 10.1 % and 9.8 % (DARTS).
# Hardware: one GPU.
# Command: python tools/search.py configs/search/width_imagenet20_mobilenetv2_rarts.py
dense = dict(config="../width/imagenet20_mobilenetv2.py", seed=0)
width = dict(
    method="rarts",
    keep=dict(threshold=0.01),
    start="scratch",
    epochs=160,
    shrink=10.0,
    lr=0.1,
    schedule="cosine",
    seed=0,
)
beside = [
    dict(method="darts", name="darts1"),
    dict(method="darts", name="darts2", args=dict(order=2)),
    dict(method="rvsm", keep=dict(threshold=0.0), equal_cost=True),
]
finetune = dict(config="../width/imagenet20_mobilenetv2.py", seed=0)
