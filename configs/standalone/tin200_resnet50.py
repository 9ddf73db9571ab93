# Training from scratch of a searched ResNet-50 on Tiny-ImageNet-200's D_train, on the schedule of its supernet: 6
# epochs, images that grow from 32 over 48 to 64 pixels.
# tools/search.py replaces the backbone's scheme; by itself this trains the plain network.
# Result: see results/search/tin200_resnet50_se.
# Hardware: as the supernet.
# Command: OMP_NUM_THREADS=1 python tools/search.py configs/search/tin200_resnet50_se.py
_base_ = "./tin200_resnet38.py"
model = dict(backbone=dict(_delete_=True, type="RegisteredBackbone", name="resnet50.imagenet", init="scratch"))
max_iters = 3_750  # 6 epochs of 80,000 images in batches of 128
train_cfg = dict(max_iters=max_iters, val_interval=1250)
param_scheduler = dict(T_max=max_iters)
custom_hooks = [dict(type="ImageSizeHook", sizes=[(0, 32), (1250, 48), (2500, 64)])]
