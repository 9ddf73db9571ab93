import json
import pickle

import numpy as np
import pytest
import torch
from counting_files import make_shanghaitech, save_image, save_mat
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from backbones.errors import UserInputError
from tasks.counting.dataset import CrowdDataset
from transfer.engine.images import image_shape, read_image
from transfer.engine.sampling import EpochIndex

AUGMENT = [
    {"type": "CrowdRandomCrop", "size": 24, "ratio_range": (0.75, 1.33)},
    {"type": "CrowdRandomFlip"},
    {"type": "PhotometricJitter"},
    {"type": "DensityTarget", "stride": 8, "sigma": 3.0},
    {"type": "PackCrowd"},
]


def test_item_and_metainfo(part_a):
    data = DATASETS.build({"type": "CrowdDataset", "data_root": str(part_a), "split": "test"})
    item = data[2]
    sample = item["data_samples"]
    assert item["inputs"].shape == (3, 40, 60) and item["inputs"].dtype == torch.uint8
    assert (sample.image_id, sample.num_points, sample.ori_shape, sample.img_shape) == ("IMG_3", 2, (40, 60), (40, 60))
    assert sample.points.shape == (2, 2) and sample.points.dtype == torch.float32
    np.testing.assert_array_equal(
        item["inputs"].permute(1, 2, 0), np.asarray(Image.open(part_a / "test_data/images/IMG_3.jpg"))
    )
    expected = {"name": "ShanghaiTech A", "part": "A", "release": "2016", "split": "test", "images": 4, "heads": 6}
    assert expected.items() <= data.metainfo.items() and data.metainfo["outside"] == 0
    json.dumps(data.metainfo)


def test_an_image_without_heads_is_valid(part_a):
    item = CrowdDataset(part_a, "test", pipeline=AUGMENT)[0]
    assert item["data_samples"].num_points == 0 and item["data_samples"].density.sum() == 0


def read_all(data, workers, epoch):
    indices = [EpochIndex(i, epoch) for i in range(len(data))]
    loader = DataLoader(data, batch_size=2, sampler=indices, num_workers=workers, collate_fn=pseudo_collate)
    batches = list(loader)
    images = [image for batch in batches for image in batch["inputs"]]
    return images, [sample for batch in batches for sample in batch["data_samples"]]


def test_items_depend_on_seed_epoch_and_index_alone(part_a):
    data = CrowdDataset(part_a, "train", pipeline=AUGMENT, seed=5, val_ratio=0.4)
    torch.manual_seed(1)
    np.random.seed(1)
    one, two = read_all(data, 0, 3), read_all(data, 2, 3)
    for a, b in zip(one[0], two[0], strict=True):
        assert torch.equal(a, b)
    for a, b in zip(one[1], two[1], strict=True):
        assert torch.equal(a.points, b.points) and torch.equal(a.density, b.density)
    other_epoch = read_all(data, 0, 4)[0]
    other_seed = read_all(CrowdDataset(part_a, "train", pipeline=AUGMENT, seed=6, val_ratio=0.4), 0, 3)[0]
    assert not any(torch.equal(a, b) for a, b in zip(one[0], other_epoch, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one[0], other_seed, strict=True))


def test_test_mode_stays_the_same_in_every_epoch(part_a):
    data = CrowdDataset(part_a, "test", pipeline=AUGMENT, test_mode=True)
    assert torch.equal(data[EpochIndex(3, 0)]["inputs"], data[EpochIndex(3, 7)]["inputs"])


def test_cached_images_are_the_same_and_stay_so(part_a):
    plain, cached = (CrowdDataset(part_a, "test", pipeline=AUGMENT, cache_images=c) for c in (False, True))
    for _ in range(2):
        for i in range(len(plain)):
            assert torch.equal(plain[i]["inputs"], cached[i]["inputs"])
    np.testing.assert_array_equal(plain.sample(3).points, cached.sample(3).points)


def test_survives_the_way_to_a_worker(part_a):
    data = pickle.loads(pickle.dumps(CrowdDataset(part_a, "test")))
    assert len(data) == 4
    with pytest.raises(IndexError):
        data[4]


@pytest.mark.parametrize("outside, counted", [("drop", 3), ("count", 5)])
def test_heads_outside_the_image(part_a, outside, counted):
    heads = np.array([[5, 5], [-0.4, 8], [60.2, 39], [-7, 3], [20, 44]])  # 60 x 40; two lie within half a pixel
    save_mat(part_a / "test_data/ground-truth/GT_IMG_1.mat", heads)
    data = CrowdDataset(part_a, "test", outside=outside)
    sample = data[0]["data_samples"]
    assert sample.num_points == counted and len(sample.points) == 3
    assert ((sample.points >= 0) & (sample.points < torch.tensor([60, 40]))).all()
    assert (data.metainfo["outside"], data.metainfo["outside_heads"]) == (2, outside)
    assert data.metainfo["heads"] == 6 + counted
    assert data.metainfo["release"] == "2015", "only that release has heads outside"
    assert CrowdDataset(part_a, "train").metainfo["release"] == "2016"


def test_leak_of_part_a_is_known(tmp_path):
    part_a = make_shanghaitech(tmp_path / "part_A", train=2, test=41, shape_hw=(8, 8))
    assert CrowdDataset(part_a, "test").metainfo["leaked"] == ["IMG_40"]
    assert CrowdDataset(part_a, "train", val_ratio=0).metainfo["leaked"] == []
    part_b = make_shanghaitech(tmp_path / "part_B", train=2, test=41, shape_hw=(8, 8))
    assert CrowdDataset(part_b, "test").metainfo["leaked"] == []


def test_images_come_upright(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
        k = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]}
        t = pixels.transpose(1, 0, 2)
        k |= {5: t, 6: t[:, ::-1], 7: t[::-1, ::-1], 8: t[::-1]}
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), k[orientation], str(orientation))
        assert image_shape(tmp_path / "a.png") == k[orientation].shape[:2]


def test_all_kinds_of_pixels_become_rgb(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    path, gray = tmp_path / "a.png", rgb[..., 0]
    alpha = np.where(gray > 127, 255, 0).astype(np.uint8)
    on_white = np.where(alpha[..., None] > 0, rgb, 255)
    gray_on_white = np.where(alpha > 0, gray, 255)[..., None].repeat(3, 2)
    palette = Image.fromarray(rgb).quantize(8)
    cases = [
        (Image.fromarray(gray), gray[..., None].repeat(3, 2)),
        (Image.fromarray(np.dstack([rgb, alpha])), on_white),
        (Image.fromarray(np.dstack([gray, alpha])), gray_on_white),
        (palette, np.asarray(palette.convert("RGB"))),
        (Image.fromarray(gray.astype(np.uint16) * 256 + 77), gray[..., None].repeat(3, 2)),
        (Image.fromarray(gray > 127), np.where(gray > 127, 255, 0)[..., None].repeat(3, 2)),
    ]
    for image, expected in cases:
        image.save(path)
        np.testing.assert_array_equal(read_image(path), expected, image.mode)
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "b.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "b.jpg").astype(int) - rgb).mean() < 30


def test_broken_images_name_their_file(part_a):
    path = part_a / "test_data/images/IMG_2.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 4 // 5])
    data = CrowdDataset(part_a, "test")
    with pytest.raises(UserInputError, match=r"IMG_2\.jpg: cannot be decoded \(.*truncated"):
        data[1]
    path.write_bytes(b"no image")
    with pytest.raises(UserInputError, match=r"IMG_2\.jpg: cannot be decoded"):
        CrowdDataset(part_a, "test")


def test_wrong_arguments(part_a):
    with pytest.raises(UserInputError, match="Did you mean 'drop'"):
        CrowdDataset(part_a, outside="dropp")
    with pytest.raises(UserInputError, match="Did you mean 'PackCrowd'"):
        CrowdDataset(part_a, pipeline=[{"type": "PackCrowds"}])
    with pytest.raises(UserInputError, match="cannot be built"):
        CrowdDataset(part_a, pipeline=[{"type": "PackCrowd", "size": 3}])
    with pytest.raises(UserInputError, match="expected one of train, val, test, all"):
        CrowdDataset(part_a, "validation")


def test_plain_folder(tmp_path):
    save_image(tmp_path / "a.png", (20, 30))
    (tmp_path / "a.csv").write_text("x,y\n30,20\n0,0\n")
    data = CrowdDataset(tmp_path, "all", layout="folder")
    assert data.metainfo["release"] is None and data.metainfo["heads"] == 2
    assert (data[0]["data_samples"].points < torch.tensor([30, 20])).all()


@pytest.mark.real_data
def test_part_a_itself(real_data):
    root = real_data / "ShanghaiTech" / "part_A"
    train, test = CrowdDataset(root, "train", val_ratio=0), CrowdDataset(root, "test")
    assert (train.metainfo["heads"], test.metainfo["heads"]) == (162_413, 78_862)
    assert (len(train), len(test), test.metainfo["release"], test.metainfo["outside"]) == (300, 182, "2016", 0)
    assert len(CrowdDataset(root, "val")) == 30 and len(CrowdDataset(root, "train")) == 270
    assert len(test.metainfo["leaked"]) == 6
    # Train 121 is test 98, byte for byte.
    paths = [next(e.image for e in d.entries if e.image_id == i) for d, i in ((train, "IMG_121"), (test, "IMG_98"))]
    assert paths[0].read_bytes() == paths[1].read_bytes()
