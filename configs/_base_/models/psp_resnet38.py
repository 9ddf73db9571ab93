# A small PSPNet on ResNet-38 at stem stride 2, for CPUs: stride 8, 256 channels. This recipe is ours.
#
# - CIFAR-100 weights of the same card load with only the classifier left out (model.backbone.init=full).
# - A CIFAR ResNet has three stages: the auxiliary FCN head stands on the second (stride 4).
# - channels_last: about 1.3 times the speed of the default format on two cores.
# - Any registered backbone fits, by model.backbone.name alone: the last two of its stages, the second of them at stride
#   8; the heads' channels and the statistics follow from it.
task = "segmentation"
custom_imports = dict(imports=["tasks.segmentation"], allow_failed_imports=False)
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        bgr_to_rgb=True,
        pad_val=0,
        size=(128, 128),
    ),
    backbone=dict(
        type="RegisteredBackbone",
        name="resnet38.cifar100",
        init="scratch",
        out_indices=(-2, -1),
        stride=8,
        dilate=True,
        channels_last=True,
    ),
    decode_head=dict(
        type="PSPHead",
        in_index=1,
        channels=64,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes=21,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type="FCNHead",
        in_index=0,
        channels=32,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=21,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
del norm_cfg  # of no use to --cfg-options: each head has its own
