import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from segmentation_files import CONFIGS, write_list, write_mask

from backbones.errors import UserInputError
from tasks.segmentation.dataset import VOC_CLASSES, VOCLayoutDataset, seeded
from tasks.segmentation.masks import read_mask, wrong_ids
from transfer.engine.sampling import EpochIndex

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mmseg_scope")]

LOAD = [dict(type="LoadPicture"), dict(type="LoadMask"), dict(type="PackSegInputs")]
AUGMENT = [
    *LOAD[:2],
    dict(type="RandomResize", scale=(56, 56), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomRotate", prob=0.5, degree=10, seg_pad_val=255),
    dict(type="RandomCrop", crop_size=(32, 32), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    LOAD[-1],
]


def test_a_sample_is_the_file_pixel_for_pixel(voc):
    data = VOCLayoutDataset(voc, pipeline=LOAD)
    sample = data[2]
    image = np.asarray(Image.open(voc / "JPEGImages" / "2007_000002.jpg"))
    mask = np.asarray(Image.open(voc / "SegmentationClass" / "2007_000002.png"))
    assert np.array_equal(sample["inputs"].numpy()[::-1].transpose(1, 2, 0), image), "expected BGR"
    assert np.array_equal(sample["data_samples"].gt_sem_seg.data[0].numpy(), mask)
    assert set(np.unique(mask)) == {0, 3, 255} and len(data) == 4
    assert data.metainfo["classes"] == VOC_CLASSES and data.metainfo["list"] == "train.txt"


def test_augmentation_is_a_function_of_seed_epoch_and_index(voc):
    def inputs(dataset, index, epoch):
        return dataset[EpochIndex(index, epoch)]["inputs"]

    first, second = (VOCLayoutDataset(voc, pipeline=AUGMENT, seed=5) for _ in range(2))
    forward = {(i, e): inputs(first, i, e) for e in range(2) for i in range(4)}
    random.seed(9), np.random.seed(9), torch.manual_seed(9)
    for (i, e), expected in reversed(forward.items()):  # any order, any state of the global generators
        assert torch.equal(inputs(second, i, e), expected)
    assert not torch.equal(forward[1, 0], forward[1, 1])
    other = VOCLayoutDataset(voc, pipeline=AUGMENT, seed=6)
    assert not torch.equal(inputs(other, 1, 0), forward[1, 0])
    fixed = VOCLayoutDataset(voc, pipeline=AUGMENT, seed=5, test_mode=True)
    assert torch.equal(inputs(fixed, 1, 1), forward[1, 0])


def test_workers_draw_what_one_process_draws(voc):
    data = VOCLayoutDataset(voc, pipeline=AUGMENT, seed=5)
    order = [EpochIndex(i, e) for e in (0, 1) for i in (2, 0, 1, 3)]
    loader = torch.utils.data.DataLoader(data, sampler=order, batch_size=None, num_workers=2, collate_fn=lambda x: x)
    for index, sample in zip(order, loader, strict=True):
        assert torch.equal(sample["inputs"], data[index]["inputs"])


def test_global_generators_are_as_before():
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    with pytest.raises(KeyError), seeded(4, 5):
        random.random(), np.random.rand(), torch.rand(1)
        raise KeyError
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_classes_and_palette_of_ones_own(tmp_path, voc):
    for name in ("2007_000000", "2007_000001"):
        write_mask(voc / "SegmentationClass" / f"{name}.png", np.full((40, 56), 2))
    write_list(voc, "mine", ["2007_000000", "", "2007_000001"])
    meta = dict(classes=["sky", "sea", "land"], palette=[[0, 0, 255], [0, 255, 255], [0, 128, 0]])
    data = VOCLayoutDataset(voc, "ImageSets/Segmentation/mine.txt", metainfo=meta, pipeline=LOAD)
    assert data.metainfo["classes"] == ("sky", "sea", "land") and len(data) == 2
    assert (data[1]["data_samples"].gt_sem_seg.data == 2).all()
    unnamed = VOCLayoutDataset(voc, metainfo=dict(classes=meta["classes"]), pipeline=LOAD)
    assert len(unnamed.metainfo["palette"]) == 3


def _rgb_mask(voc):
    Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(voc / "SegmentationClass" / "2007_000001.png")


def _small_mask(voc):
    write_mask(voc / "SegmentationClass" / "2007_000001.png", np.zeros((40, 55)))


def _wrong_id(voc):
    ids = np.zeros((40, 56))
    ids[3, 4] = 21
    write_mask(voc / "SegmentationClass" / "2007_000001.png", ids)


def _cut_image(voc):
    path = voc / "JPEGImages" / "2007_000001.jpg"
    path.write_bytes(path.read_bytes()[:-300])


def _cut_mask(voc):
    path = voc / "SegmentationClass" / "2007_000001.png"
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (_rgb_mask, r"2007_000001\.png: its pixels are colours.*palette"),
        (_small_mask, r"2007_000001\.png: the mask is 55x40, expected 56x40"),
        (_wrong_id, r"2007_000001\.png: holds the class ids 21, expected 0 to 20"),
        (_cut_image, r"2007_000001\.jpg: cannot be decoded"),
        (_cut_mask, r"2007_000001\.png: cannot be decoded"),
    ],
)
def test_a_broken_sample_is_an_error_and_never_another_sample(voc, spoil, line):
    spoil(voc)
    data = VOCLayoutDataset(voc, pipeline=AUGMENT)
    with pytest.raises(UserInputError, match=line) as error:
        data[1]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (dict(ann_file="ImageSets/Segmentation/trian.txt"), r"trian\.txt: no such list.*Did you mean 'train\.txt'"),
        (dict(ann_file="ImageSets/Segmentation/long.txt"), r"long\.txt: names '2008_000009', but .*2008_000009\.jpg"),
        (dict(ann_file="ImageSets/Segmentation/empty.txt"), r"empty\.txt: is empty"),
        (dict(data_prefix=dict(seg_map_path="SegmentationClassAug")), r"SegmentationClassAug/2007_000000\.png"),
        (dict(metainfo=dict(classes=["a", "b"], palette=[[0, 0, 0]])), "1 colours for 2 classes"),
        (dict(metainfo=dict(classes=["a", "a"])), "different names"),
        (dict(metainfo=dict(classes=["a"], palette=[[0, 300, 0]])), "is no colour"),
    ],
)
def test_wrong_options_are_one_line(voc, options, line):
    write_list(voc, "long", ["2007_000000", "2008_000009"])
    write_list(voc, "empty", [])
    with pytest.raises(UserInputError, match=line) as error:
        VOCLayoutDataset(voc, pipeline=LOAD, **options)
    assert "\n" not in str(error.value)


def test_missing_data_say_where_they_were_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserInputError, match="VOCdevkit/VOC2012"):
        VOCLayoutDataset("VOCdevkit/VOC2012")


@pytest.mark.parametrize("mode", ["P", "L"])
def test_masks_are_read_as_ids_whatever_their_colours(tmp_path, mode):
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(ids)
    if mode == "P":
        image.putpalette([7] * 768)
    image.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), ids)
    assert wrong_ids(ids, 10, ignore_index=11) == [10]


@pytest.mark.real_data
def test_real_images_go_through_the_training_pipeline(real_data):
    pipeline = Config.fromfile(CONFIGS / "voc_small_ean_se.py").train_dataloader.dataset.pipeline
    data = VOCLayoutDataset(real_data / "VOC_small" / "VOC2012", pipeline=pipeline)
    assert len(data) == 294
    for index in range(0, 294, 49):
        sample = data[EpochIndex(index, 1)]
        ids = set(sample["data_samples"].gt_sem_seg.data.unique().tolist())
        assert max(sample["inputs"].shape[1:]) <= 256 and ids <= {*range(21), 255}


@pytest.mark.real_data
def test_the_sbd_list_is_read_as_it_is(real_data):
    root = real_data / "VOC_full_size" / "VOCdevkit" / "VOC2012"
    data = VOCLayoutDataset(
        root,
        "ImageSets/Segmentation/trainaug_have.txt",
        dict(seg_map_path="SegmentationClassAug"),
        pipeline=LOAD,
    )
    assert len(data) == 73 and data.metainfo["masks"] == "SegmentationClassAug"
    assert Path(data.get_data_info(0)["seg_map_path"]).is_file() and data[0]["inputs"].shape[0] == 3
