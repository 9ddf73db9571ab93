# PSPNet on a registered ResNet-50 at output stride 8, an auxiliary FCN head one stage before. The papers name no head.
#
# - Stages 3 and 4 dilate instead of striding, by torchvision's rule (mmsegmentation's contract_dilation=True).
# - PSP with bins 1, 2, 3, 6 and 512 channels, auxiliary loss 0.4 and dropout 0.1, as in PSPNet and mmsegmentation.
# - The loss is the mean over all pixels that count: mmsegmentation's default divides by the ignored ones as well.
# - Any registered backbone fits, by model.backbone.name alone: the last two of its stages at stride 8, the heads'
#   channels and the statistics follow from it.
task = "segmentation"
custom_imports = dict(imports=["tasks.segmentation"], allow_failed_imports=False)
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        bgr_to_rgb=True,
        pad_val=0,
        size=(473, 473),
    ),
    backbone=dict(
        type="RegisteredBackbone", name="resnet50.imagenet", init="trunk", out_indices=(-2, -1), stride=8, dilate=True
    ),
    decode_head=dict(
        type="PSPHead",
        in_index=1,
        channels=512,
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
        channels=256,
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
