# Supernet on Tiny-ImageNet-200: ResNet-50 with one SE module per stage (Share-EAN), one Bernoulli scheme an iteration,
# on D_train; images grow from 32 over 48 to 64 pixels. 6 epochs, the sizes and the cosine are ours, for CPUs.
# Result: see results/search/tin200_resnet50_se.
# Hardware: 1 CPU core, two hours with --amp where the processor computes in bfloat16, else about five.
# Command: OMP_NUM_THREADS=1 python tools/train.py configs/supernet/tin200_resnet50_full_share_se.py
_base_ = "./tin200_resnet38_full_share_se.py"
model = dict(
    backbone=dict(
        _delete_=True,
        type="RegisteredBackbone",
        name="resnet50_full_share_se.imagenet",
        init="scratch",
        supernet=True,
    )
)
max_iters = 3_750  # 6 epochs of 80,000 images in batches of 128
train_cfg = dict(max_iters=max_iters, val_interval=1250)
param_scheduler = dict(T_max=max_iters)
custom_hooks = [
    dict(type="SupernetHook", beta=0.5),
    dict(type="ImageSizeHook", sizes=[(0, 32), (1250, 48), (2500, 64)]),
]
