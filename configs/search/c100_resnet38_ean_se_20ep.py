# c100_resnet38_ean_se.py for CPUs: supernet and stand-alone networks are trained for 20 epochs, schemes are evaluated
# on 2,000 images of D_val.
# Result: not yet run.
# Hardware: 2 CPU cores, about 8 hours with --amp; stop it at any time and go on with --resume.
# Command: OMP_NUM_THREADS=2 python tools/search.py configs/search/c100_resnet38_ean_se_20ep.py --amp
_base_ = "./c100_resnet38_ean_se.py"
supernet = dict(
    config="../supernet/c100_resnet38_full_share_se_20ep.py", options={"val_dataloader.dataset.images": 2000}
)
standalone = dict(config="../standalone/c100_resnet38_20ep.py")
