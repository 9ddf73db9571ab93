"""What every layout must do. Runs over the list, so that a new layout is tested without touching a test."""

import numpy as np
import pytest
from counting_files import SHAPE, fill, noise, random_points

from backbones.errors import UserInputError
from tasks.counting.check import check
from tasks.counting.dataset import CrowdDataset
from tasks.counting.layouts import SPLITS, find_source, get_layout, list_layouts, official_splits, select
from transfer.engine.images import image_shape

IMAGES = 8  # enough for folds, and for a tenth of the rest to be held out


@pytest.fixture(params=list_layouts())
def name(request):
    return request.param


@pytest.fixture
def layout(name):
    return get_layout(name)


@pytest.fixture
def root(layout, tmp_path):
    return fill(tmp_path / "data", layout, dict.fromkeys(layout.splits, IMAGES))


def config(root, name, *splits):
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    data = {"data_root": str(root), "layout": name}
    return {loader: {"dataset": {**data, "split": split}} for loader, split in zip(loaders, splits, strict=True)}


def test_what_is_written_is_found_and_read_back(root, name, layout):
    source = find_source(root, name)
    assert set(source.splits) == set(layout.splits) <= set(SPLITS)
    for split in source.splits.values():
        assert not split.problems and len(split.entries) == IMAGES
        for n, entry in enumerate(split.entries, start=1):
            np.testing.assert_array_equal(layout.read(entry), random_points(n - 1, SHAPE, n))
            assert image_shape(entry.image) == SHAPE


def test_an_entry_is_where_write_says(root, layout):
    split = layout.splits[-1]
    entry = layout.write(root, split, IMAGES + 1, noise(), random_points(2))
    assert layout.find(root).splits[split].entries[-1] == entry


def test_another_folder_is_not_found(name, layout, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.md").write_text("no data")
    assert layout.find(tmp_path / "other") is None
    with pytest.raises(UserInputError, match=f"other: is not laid out as layout='{name}', looked for ") as error:
        find_source(tmp_path / "other", name)
    assert "\n" not in str(error.value)


def test_the_folder_above_is_no_dead_end(root, name):
    with pytest.raises(UserInputError, match="its folder data may be meant"):
        find_source(root.parent, name)


def test_another_layout_is_told_which_one_fits(root, name):
    for other in list_layouts():
        if get_layout(other).find(root) is None:
            with pytest.raises(UserInputError, match=f"; .*layout='{name}'.* fits"):
                find_source(root, other)


def test_every_split_is_a_data_set(root, name, layout):
    for split in SPLITS:
        data = CrowdDataset(root, split, layout=name)
        assert len(data) and data[0]["data_samples"].num_points == len(data[0]["data_samples"].points)
    everything = CrowdDataset(root, "all", layout=name)
    assert len(everything) == len({entry.image_id for entry in everything.entries}) == IMAGES * len(layout.splits)


def test_train_val_and_test_share_no_image(root, name):
    source = find_source(root, name)
    files = [entry.image for split in ("train", "val", "test") for entry in select(source, split)]
    assert len(files) == len(set(files)) == len(select(source, "all"))


@pytest.mark.parametrize("name", [name for name in list_layouts() if "val" in get_layout(name).splits])
def test_an_official_val_is_used(root, name):
    source = find_source(root, name)
    assert select(source, "val") == source.splits["val"].entries
    assert select(source, "train") == source.splits["train"].entries
    for option in ({"val_ratio": 0.1}, {"val_list": "val.txt"}):
        with pytest.raises(UserInputError, match=r"has an official val split, .* leave the option out"):
            select(source, "val", **option)


def broken(root, name, remove):
    """The last split of the layout with some of its files removed."""
    source = find_source(root, name)
    split = list(source.splits)[-1]
    remove(source.splits[split].entries)
    return split


def test_a_missing_annotation_is_named(root, name):
    def remove(entries):
        entries[2].points.unlink()
        alone.append(entries[2].image)

    alone = []
    split = broken(root, name, remove)
    with pytest.raises(UserInputError, match="has no ground truth, expected") as error:
        CrowdDataset(root, split, layout=name)
    assert str(alone[0]) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_image_is_named(root, name):
    def remove(entries):
        entries[3].image.unlink()
        wanted.append(entries[3].points)

    wanted = []
    split = broken(root, name, remove)
    with pytest.raises(UserInputError, match="ground truth without an image") as error:
        CrowdDataset(root, split, layout=name)
    assert str(wanted[0]) in str(error.value) and "\n" not in str(error.value)


def test_a_folder_without_images_is_named(root, name):
    def remove(entries):
        folders.append(entries[0].image.parent)
        for entry in entries:
            entry.image.unlink()

    folders = []
    split = broken(root, name, remove)
    with pytest.raises(UserInputError) as error:
        CrowdDataset(root, split, layout=name)
    assert f"{folders[0]}" in str(error.value) and "\n" not in str(error.value)


def test_a_broken_annotation_is_named(root, name):
    files = []
    split = broken(root, name, lambda entries: files.append(entries[1].points))
    files[0].write_text("no points")
    with pytest.raises(UserInputError) as error:
        CrowdDataset(root, split, layout=name)
    assert str(files[0]) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in list_layouts() if len(get_layout(name).splits) > 1])
def test_another_split_may_be_broken_but_check_data_says_so(root, name, layout):
    stray = []

    def remove(entries):
        stray.append(entries[2].image)
        entries[2].points.unlink()

    other = broken(root, name, remove)
    fine = layout.splits[0]
    assert official_splits(find_source(root, name), fine).keys() == {fine}
    assert len(CrowdDataset(root, fine, layout=name)) > 0
    with pytest.raises(UserInputError, match="has no ground truth"):
        CrowdDataset(root, other, layout=name)
    assert any(str(stray[0]) in line for line in check(config(root, name, fine, fine, fine)).problems)


def test_check_data_finds_written_data_sound(root, name):
    report = check(config(root, name, "train", "val", "test"))
    assert report.problems == [] and [row["split"] for row in report.rows] == ["train", "val", "test"]
