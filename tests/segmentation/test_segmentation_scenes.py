"""Generated scenes in VOC's layout."""

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from backbones.errors import UserInputError
from tasks.segmentation.masks import voc_palette
from tasks.segmentation.scenes import IGNORE, OBJECTS, make_scene, write_scenes

pytestmark = pytest.mark.slow


def test_the_palette_is_vocs():
    assert [list(colour) for colour in voc_palette(21)] == PascalVOCDataset.METAINFO["palette"]
    assert voc_palette()[255] == (224, 224, 192)


def test_a_scene_depends_on_seed_and_number_only():
    first, again = make_scene(4, 7), make_scene(4, 7)
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], make_scene(4, 8)[0])


def test_masks_hold_background_objects_and_rims():
    seen = set()
    for number in range(40):
        seen |= set(np.unique(make_scene(0, number)[1]).tolist())
    assert seen == {0, IGNORE, *OBJECTS}


def test_written_scenes_are_laid_out_as_voc(tmp_path):
    assert write_scenes(tmp_path / "out", 5, seed=1) == (4, 1)
    root = tmp_path / "out/VOC2012"
    train = (root / "ImageSets/Segmentation/train.txt").read_text().split()
    val = (root / "ImageSets/Segmentation/val.txt").read_text().split()
    assert len(train) == 4 and len(val) == 1 and not set(train) & set(val)
    for number, name in enumerate(train + val):
        with Image.open(root / f"SegmentationClass/{name}.png") as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.asarray(mask), make_scene(1, number)[1])
        assert (root / f"JPEGImages/{name}.jpg").is_file()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserInputError, match="not empty"):
        write_scenes(tmp_path, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
