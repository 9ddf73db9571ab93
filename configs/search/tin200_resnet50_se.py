# A Share-EAN scheme for ResNet-50 with SE on Tiny-ImageNet-200, by the default method: the supernet, 256 schemes on
# 2,000 images of D_val with recalibrated batch-normalisation statistics, the best one trained from scratch beside the
# plain network. Whoever has ImageNet does the same with imagenet_resnet50_ean_sge.py.
# Result: see results/search/tin200_resnet50_se.
# Hardware: 1 CPU core, about 6 hours with --amp where the processor computes in bfloat16, else about 15.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/tin200_resnet50_se.py
supernet = dict(
    config="../supernet/tin200_resnet50_full_share_se.py", seed=0, options={"val_dataloader.dataset.images": 2000}
)
search = dict(budget=256, seed=0, objective=dict(lambda1=2.0, lambda2=1.0))
standalone = dict(config="../standalone/tin200_resnet50.py", candidates=1, beside=["plain"], seed=0)
