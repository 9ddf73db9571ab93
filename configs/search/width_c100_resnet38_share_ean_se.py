# The registered Share-EAN ResNet-38 (scheme found by a search, weights of 6 epochs) pruned by RARTS to half of its
# MACs: scheme and widths compose, and what is registered afterwards carries both.
# Result: not yet run.
# Hardware: 1 CPU core, about an hour with --amp.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/width_c100_resnet38_share_ean_se.py --amp
dense = dict(config="../width/c100_resnet38_share_ean_se.py", weights="card")
width = dict(method="rarts", epochs=3, keep=dict(macs=0.5), lr=0.02, seed=0)
finetune = dict(config="../width/c100_resnet38_share_ean_se.py", seed=0)
