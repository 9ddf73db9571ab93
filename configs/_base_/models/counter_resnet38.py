# ResNet-38 at stem stride 2, for CPUs: stride 8, 256 channels, a small dilated decoder. This recipe is ours.
#
# - Any registered backbone fits, by model.backbone.name alone.
# - CIFAR-100 weights of the same card load with only the classifier left out (model.backbone.init=full).
# - channels_last: about 1.6 to 2 times the speed of the default format on two cores.
# - The losses are in label units (100 x people per pixel), which makes them of one size. Count terms in people, which
#   outweigh the density loss by far, learnt slower in a short trial.
task = "counting"
custom_imports = dict(imports=["transfer.engine", "tasks.counting"], allow_failed_imports=False)
model = dict(
    type="CrowdCounter",
    backbone=dict(type="RegisteredBackbone", name="resnet38.cifar100", init="scratch", out_indices=(2,), stride=8),
    head=dict(type="DilatedHead", channels=(64, 64)),
    loss=[dict(type="DensityMSELoss"), dict(type="BlockCountLoss", sizes=(32, 64)), dict(type="CropCountLoss")],
    test_cfg=dict(max_pixels=None),
    channels_last=True,
)
