# Widths of PreResNet-20 on CIFAR-100 for a CPU core: RARTS beside plain descent and network slimming at equal cost,
# uniform and random, all pruned to 60 % of the MACs and fine-tuned alike. With distillation:
# --cfg-options finetune.distill.temperature=4.0
# Result: not yet run.
# Hardware: 1 CPU core, about 3 hours with --amp; stop it at any time and go on with --resume.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/width_c100_preresnet20.py --amp
dense = dict(config="../width/c100_preresnet20_15ep.py", seed=0)
width = dict(method="rarts", epochs=5, keep=dict(macs=0.6), seed=0)
beside = [
    dict(method="joint", equal_cost=True),
    dict(method="netslim", equal_cost=True),
    dict(method="uniform"),
    dict(method="random"),
]
finetune = dict(config="../width/c100_preresnet20_finetune.py", seed=0)
