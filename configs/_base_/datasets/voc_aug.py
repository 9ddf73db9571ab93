# As voc.py with the SBD masks: the 10,582 training images of `trainaug.txt`, results on the 1,449 of val.
#
# `SegmentationClassAug` (masks) and `trainaug.txt` (names) are no part of VOCdevkit: put them beside SegmentationClass
# and train.txt.
#
# Crops of 512, as in mmsegmentation's configs:
#   --cfg-options train_dataloader.dataset.pipeline.4.crop_size=(512,512) model.data_preprocessor.size=(512,512)
_base_ = "./voc.py"
train_dataloader = dict(
    dataset=dict(
        ann_file="ImageSets/Segmentation/trainaug.txt",
        data_prefix=dict(seg_map_path="SegmentationClassAug"),
    )
)
