# A Share-EAN scheme for ResNet-38 with SE on Tiny-ImageNet-200, by the default method: the supernet, 256 schemes on
# 2,000 images of D_val with recalibrated batch-normalisation statistics, the best one trained from scratch beside the
# plain network.
# Result: see results/search/tin200_resnet38_se.
# Hardware: 1 CPU core, about 12 hours; a third of it with --amp where the processor computes in bfloat16.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/tin200_resnet38_se.py
supernet = dict(
    config="../supernet/tin200_resnet38_full_share_se.py", seed=0, options={"val_dataloader.dataset.images": 2000}
)
search = dict(budget=256, seed=0, objective=dict(lambda1=2.0, lambda2=1.0))
standalone = dict(config="../standalone/tin200_resnet38.py", candidates=1, beside=["plain"], seed=0)
