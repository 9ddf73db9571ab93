# All 4,096 schemes of the EAN supernet (one module per block) of ResNet-38 with SE on CIFAR-100, trained for 20 epochs,
# on 2,000 images of D_val.
# Result: not yet run.
# Hardware: 2 CPU cores, about two hours, most of it for the supernet.
# Command: python tools/search.py configs/search/c100_resnet38_full_sa_se_table.py --amp
#          recalibrated statistics: --cfg-options supernet.bn=recalibrated
#          test images:             --cfg-options supernet.split=test
supernet = dict(
    config="../supernet/c100_resnet38_full_sa_se_20ep.py",
    seed=0,
    bn="running",
    options={"val_dataloader.dataset.images": 2000, "test_dataloader.dataset.images": 2000},
)
search = dict(method="exhaustive", budget=4096)
