# EAN on CIFAR-100 for two CPU cores: the supernet is trained for 20 epochs, schemes are evaluated on 2,000 images of
# D_val with recalibrated batch-normalisation statistics (the default), stand-alone networks are trained for 6 epochs.
# Result: see results/search/c100_resnet38_ean_se_6ep.
# Hardware: 2 CPU cores, about 2.5 hours with --amp; stop it at any time and go on with --resume.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/c100_resnet38_ean_se_6ep.py --amp --engine ray
_base_ = "./c100_resnet38_ean_se_20ep.py"
standalone = dict(config="../standalone/c100_resnet38_6ep.py")
