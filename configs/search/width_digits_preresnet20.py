# Widths of PreResNet-20 on scikit-learn's digits, for trials: RARTS beside plain descent and network slimming at equal
# cost, and three that train nothing, all pruned to 60 % of the MACs and fine-tuned alike. Needs scikit-learn.
# Result: not yet run.
# Hardware: 1 CPU core, some minutes.
# Command: python tools/search.py configs/search/width_digits_preresnet20.py
dense = dict(config="../width/digits_preresnet20.py", seed=0)
width = dict(method="rarts", epochs=25, keep=dict(macs=0.6), seed=0)
beside = [
    dict(method="joint", equal_cost=True),
    dict(method="netslim", equal_cost=True),
    dict(method="l1"),
    dict(method="uniform"),
    dict(method="random"),
]
finetune = dict(config="../width/digits_preresnet20_finetune.py", seed=0)
