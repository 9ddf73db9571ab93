# ResNet-50 up to layer3 at stride 8, and a dilated decoder; ours, the papers state neither head nor output stride.
#
# - Any registered backbone fits, by model.backbone.name alone.
# - Trunk as in C-3-Framework's Res50: layer3 with stride 1 and no dilation, no layer4 (1024 channels, stride 8), so the
#   first 13 of the 16 bits of a connection scheme matter.
# - CSRNet's decoder instead of C-3's two 1x1 convolutions: on part A users get 109.5/182.7 with the latter, and
#   80.6/130.1 is published for the same trunk with a dilated decoder. For C-3's head:
#   --cfg-options model.head.type=C3Head
# - Batch normalisation trains: batches of crops give it statistics, where C-3's whole images (batch 1) do not.
# - MSE on the density alone leaves the count biased for long; errors of block and crop counts beside it do not.
task = "counting"
custom_imports = dict(imports=["transfer.engine", "tasks.counting"], allow_failed_imports=False)
model = dict(
    type="CrowdCounter",
    backbone=dict(type="RegisteredBackbone", name="resnet50.imagenet", init="trunk", out_indices=(2,), stride=8),
    head=dict(type="DilatedHead"),
    loss=[dict(type="DensityMSELoss"), dict(type="BlockCountLoss", sizes=(32, 64)), dict(type="CropCountLoss")],
    test_cfg=dict(max_pixels=None),
)
