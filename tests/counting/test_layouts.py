import json
import shutil

import numpy as np
import pytest
import scipy.io
from counting_files import make_shanghaitech, save_image, save_mat

from backbones.errors import UserInputError
from tasks.counting.check import check
from tasks.counting.dataset import CrowdDataset
from tasks.counting.layouts import find_source, get_layout, select
from tasks.counting.layouts._files import natural


def ids(entries):
    return [entry.image_id for entry in entries]


@pytest.mark.parametrize("release, name", [("2016", "part_A"), ("2015", "part_A_final"), ("2015", "part_B_final")])
def test_both_releases_of_shanghaitech(tmp_path, release, name):
    source = find_source(make_shanghaitech(tmp_path / name, release=release), "shanghaitech")
    assert (source.part, source.release) == (name[5], release)
    assert ids(source.splits["train"].entries) == [f"IMG_{n}" for n in range(1, 11)]
    assert source.splits["test"].entries[1].points.name == "GT_IMG_2.mat"


def test_either_name_finds_either_release(tmp_path):
    make_shanghaitech(tmp_path / "part_A_final", release="2015")
    make_shanghaitech(tmp_path / "part_B")
    assert find_source(tmp_path / "part_A", "shanghaitech").release == "2015"
    assert find_source(tmp_path / "part_B_final", "shanghaitech").root.name == "part_B"


def test_other_images_in_the_layout_are_not_called_shanghaitech(tmp_path):
    source = find_source(make_shanghaitech(tmp_path / "scenes"), "shanghaitech")
    assert (source.name, source.part, source.release) == ("scenes", None, None)


def test_data_are_found_under_the_environment_variable(tmp_path, monkeypatch):
    make_shanghaitech(tmp_path / "ShanghaiTech" / "part_B")
    monkeypatch.setenv("TRANSFER_DATA", str(tmp_path))
    assert find_source("ShanghaiTech/part_B", "shanghaitech").part == "B"


def test_test_split_alone_is_enough_for_testing(part_a):
    shutil.rmtree(part_a / "train_data")
    source = find_source(part_a, "shanghaitech")
    assert len(select(source, "test")) == 4
    with pytest.raises(UserInputError, match=r"no split 'train' \(found test\)"):
        select(source, "train")


def test_val_is_carved_out_of_train_by_the_seed(tmp_path):
    source = find_source(make_shanghaitech(tmp_path / "part_A", train=24, test=2), "shanghaitech")
    train, val = (ids(select(source, split, val_ratio=0.1, val_seed=0)) for split in ("train", "val"))
    assert (len(train), len(val)) == (22, 2) and sorted(train + val) == sorted(ids(source.splits["train"].entries))
    assert val == ids(select(source, "val", val_seed=0))
    assert len({tuple(ids(select(source, "val", val_seed=seed))) for seed in range(8)}) > 1
    assert len(select(source, "train", val_ratio=0)) == 24
    with pytest.raises(UserInputError, match="nothing is left for split='val'"):
        select(source, "val", val_ratio=0)


def test_val_by_list(part_a, tmp_path):
    source = find_source(part_a, "shanghaitech")
    file = tmp_path / "val.txt"
    file.write_text("IMG_3\n\ntrain_data/images/IMG_10.jpg\n")
    assert ids(select(source, "val", val_list=file)) == ["IMG_3", "IMG_10"]
    assert len(select(source, "train", val_list=file)) == 8
    file.write_text("IMG_3.jpg\nIMG_31.jpg\n")
    with pytest.raises(UserInputError, match=r"line 2 names 'IMG_31.jpg'.*Did you mean 'IMG_"):
        select(source, "val", val_list=file)


def test_all_names_the_split(part_a):
    everything = ids(select(find_source(part_a, "shanghaitech"), "all"))
    assert len(set(everything)) == 14 and everything[0] == "train/IMG_1" and everything[-1] == "test/IMG_4"


def test_ucf_folds(tmp_path):
    for n in range(1, 13):
        save_image(tmp_path / f"{n}.jpg")
        scipy.io.savemat(tmp_path / f"{n}_ann.mat", {"annPoints": np.ones((n, 2))})
    tests = []
    for fold in range(5):
        source = find_source(tmp_path, "ucf_cc_50")
        test, train, val = (ids(select(source, split, fold=fold)) for split in ("test", "train", "val"))
        assert sorted(test + train + val, key=natural) == [str(n) for n in range(1, 13)]
        tests += test
    assert tests == [str(n) for n in range(1, 13)]
    with pytest.raises(UserInputError, match="fold=5: expected a whole number from 0 to 4"):
        select(source, "test", fold=5)


def test_a_fold_of_data_without_folds_is_refused(part_a):
    with pytest.raises(UserInputError, match="fold=2: ShanghaiTech A has no folds"):
        select(find_source(part_a, "shanghaitech"), "test", fold=2)


def test_too_few_images_for_the_folds(tmp_path):
    for n in (1, 2):
        get_layout("ucf_cc_50").write(tmp_path, "all", n, np.zeros((8, 8, 3), np.uint8), np.ones((n, 2)))
    with pytest.raises(UserInputError, match=r"has 2 image\(s\), expected 50; get UCF_CC_50 from"):
        select(find_source(tmp_path, "ucf_cc_50"), "test")


def test_jhu_as_unpacked(tmp_path):
    for split in ("train", "val", "test"):
        for name in ("images", "gt"):
            (tmp_path / split / name).mkdir(parents=True)
        save_image(tmp_path / split / "images" / "0004.jpg")
        (tmp_path / split / "gt" / "0004.txt").write_text("")
        (tmp_path / split / "image_labels.txt").write_text("0004,0,street,0,0\n")
    (tmp_path / "val/gt/0004.txt").write_text("12 7 9 11 1 0\n40 33 20 25 3 1\n")
    source, layout = find_source(tmp_path, "jhu"), get_layout("jhu")
    (entry,) = select(source, "val")
    assert layout.read(entry).tolist() == [[12, 7], [40, 33]]
    (entry,) = select(source, "test")
    assert layout.read(entry).shape == (0, 2)
    entry.points.write_text("12 7 9 11 1\n")
    with pytest.raises(UserInputError, match=r"0004\.txt: line 1 is .* expected 6 finite numbers: x, y, w, h, occl"):
        layout.read(entry)


def test_ucf_qnrf_as_unpacked(tmp_path):
    for folder in ("Train", "Test"):
        (tmp_path / folder).mkdir()
        save_image(tmp_path / folder / "img_0001.jpg")
        scipy.io.savemat(tmp_path / folder / "img_0001_ann.mat", {"annPoints": np.array([[1.0, 2.5], [60, 40]])})
    (entry,) = select(find_source(tmp_path, "ucf_qnrf"), "test")
    assert get_layout("ucf_qnrf").read(entry).tolist() == [[0.5, 2.0], [59.5, 39.5]]


def nwpu(root, points="jsons", test=True):
    """Two training images, one of each other split, as NWPU-Crowd unpacks; the test images' points as they may be."""
    (root / "images").mkdir(parents=True)
    (root / points).mkdir()
    for number, split in {"0001": "train", "0002": "train", "3110": "val", "3610": "test"}.items():
        save_image(root / "images" / f"{number}.jpg")
        with open(root / f"{split}.txt", "a") as file:
            file.write(f"{number} 1 2\n")  # luminance and density
        if points == "mats":
            scipy.io.savemat(root / points / f"{number}.mat", {"annPoints": [[3.5, 4.5]], "annBoxes": [[1, 1, 6, 6]]})
        else:
            content = {"img_id": f"{number}.jpg", "human_num": 1, "points": [[3, 4]], "boxes": [[1, 1, 6, 6]]}
            (root / points / f"{number}.json").write_text(json.dumps(content))
    if not test:
        next((root / points).glob("3610.*")).unlink()
    return root


@pytest.mark.parametrize("points", ["jsons", "mats"])
def test_nwpu_as_unpacked(tmp_path, points):
    source = find_source(nwpu(tmp_path / "NWPU-Crowd", points), "nwpu")
    found = {name: ids(split.entries) for name, split in source.splits.items()}
    assert found == {"train": ["0001", "0002"], "val": ["3110"], "test": ["3610"]}
    assert source.remarks == () and not any(split.problems for split in source.splits.values())
    assert get_layout("nwpu").read(source.splits["val"].entries[0]).tolist() == [[3, 4]]


def test_nwpu_has_no_test_split_without_its_points(tmp_path):
    root = nwpu(tmp_path / "NWPU-Crowd", test=False)
    source = find_source(root, "nwpu")
    assert set(source.splits) == {"train", "val"} and len(source.remarks) == 1
    with pytest.raises(UserInputError, match=r"has no split 'test' .*test\.txt: none of its images has points"):
        select(source, "test")
    data = {"data_root": str(root), "layout": "nwpu"}
    loaders = {f"{split}_dataloader": {"dataset": {**data, "split": split}} for split in ("train", "val")}
    report = check(loaders)
    assert report.sound and source.remarks[0] in report.remarks


def test_a_list_of_nwpu_that_names_what_is_not_there(tmp_path):
    root = nwpu(tmp_path / "NWPU-Crowd")
    (root / "val.txt").write_text("3110 0 0\n3111 0 0\n")
    with pytest.raises(UserInputError, match=r"val\.txt: names '3111', expected it in .*images and .*jsons"):
        select(find_source(root, "nwpu"), "val")


def test_a_cut_json_of_nwpu_is_no_image_without_people(tmp_path):
    root = nwpu(tmp_path / "NWPU-Crowd")
    (root / "jsons/0002.json").write_text('{"img_id": "0002.jpg", "human_num": 975, "points": []}')
    with pytest.raises(UserInputError, match=r"0002\.json: says 975 points \(human_num\) and lists 0"):
        CrowdDataset(root, "train", layout="nwpu")


@pytest.mark.parametrize(
    ("indices", "numbers"),
    [(3, [1, 2, 3]), (-2, [9, 10]), (99, range(1, 11)), ([4, 0, -1], [5, 1, 10]), ((1,), [2]), (None, range(1, 11))],
)
def test_indices_keep_a_part_as_in_mmengine(part_a, indices, numbers):
    entries = select(find_source(part_a, "shanghaitech"), "train", val_ratio=0, indices=indices)
    assert ids(entries) == [f"IMG_{n}" for n in numbers]


@pytest.mark.parametrize(
    ("indices", "line"),
    [
        (0, "indices=0: nothing of .*split='train' is left"),
        ([], r"indices=\[\]: nothing of"),
        ([0, 10], "has 10 images, none at place 10"),
        (True, "indices=True: expected how many"),
        ("3", "indices='3': expected how many"),
        ([1.5], r"indices=\[1.5\]: expected how many"),
    ],
)
def test_wrong_indices(part_a, indices, line):
    with pytest.raises(UserInputError, match=line):
        select(find_source(part_a, "shanghaitech"), "train", val_ratio=0, indices=indices)


def test_check_and_metainfo_know_indices(part_a):
    data = CrowdDataset(part_a, "test", indices=[3, 1])
    assert ids(data.entries) == ["IMG_4", "IMG_2"] and len(data) == 2
    assert (data.metainfo["indices"], data.metainfo["images"], data.metainfo["heads"]) == ([3, 1], 2, 4)
    json.dumps(data.metainfo)
    (row,) = check({"test_dataloader": {"dataset": {"data_root": str(part_a), "split": "test", "indices": 2}}}).rows
    assert (row["images"], row["people"]) == (2, 1)


def test_a_plain_folder_is_pointed_at(tmp_path):
    save_image(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("1,2\n")
    with pytest.raises(UserInputError, match=r"layout='shanghaitech', looked for .*layout='folder' fits; get Sh"):
        find_source(tmp_path, "shanghaitech")
    (tmp_path / "a.csv").unlink()
    for layout in ("shanghaitech", "jhu"):
        with pytest.raises(UserInputError, match="; `ean import-points` brings images of your own into"):
            find_source(tmp_path, layout)


def test_data_of_another_layout_are_not_called_broken(tmp_path):
    with pytest.raises(UserInputError, match=r"not laid out as layout='folder', looked for .*layout='nwpu' fits"):
        find_source(nwpu(tmp_path / "NWPU-Crowd"), "folder")


def test_flat_folder(tmp_path):
    for name, points in {"a.png": "a.json", "b.JPG": "b.csv", "c.bmp": "GT_c.mat", "d.jpeg": "d_ann.mat"}.items():
        save_image(tmp_path / name)
        (tmp_path / points).write_text("[]")
    (tmp_path / "notes.md").write_text("not an image")
    (tmp_path / "._a.png").write_text("left by macOS")
    source = find_source(tmp_path, "folder")
    assert ids(select(source, "all")) == ["a", "b", "c", "d"]
    assert len(select(source, "train", val_ratio=0.25)) == 3
    with pytest.raises(UserInputError, match="name split='all'"):
        select(source, "test")


def test_folder_with_splits_and_folders_of_points(tmp_path):
    for split in ("train", "test"):
        for name in ("images", "points"):
            (tmp_path / split / name).mkdir(parents=True)
        save_image(tmp_path / split / "images" / f"{split}.png")
        (tmp_path / split / "points" / f"{split}.csv").write_text("1,2\n")
    source = find_source(tmp_path, "folder")
    assert ids(select(source, "test")) == ["test"] and ids(select(source, "train")) == ["train"]


def break_image_alone(root):
    save_image(root / "test_data/images/IMG_77.jpg")


def break_points_alone(root):
    save_mat(root / "test_data/ground-truth/GT_IMG_78.mat", np.zeros((0, 2)))


def break_twin(root):
    save_image(root / "test_data/images/IMG_1.png")


def break_empty(root):
    for image in (root / "test_data/images").iterdir():
        image.unlink()


@pytest.mark.parametrize(
    "break_it, expected",
    [
        (break_image_alone, r"IMG_77\.jpg: has no ground truth, expected .*GT_IMG_77\.mat"),
        (break_points_alone, r"GT_IMG_78\.mat: ground truth without an image"),
        (break_twin, r"IMG_1\.png: IMG_1\.jpg has the same name"),
        (break_empty, r"images: holds no image"),
    ],
)
def test_broken_pairs(part_a, break_it, expected):
    break_it(part_a)
    source = find_source(part_a, "shanghaitech")
    assert len(select(source, "train")) == 9
    for split in ("test", "all"):
        with pytest.raises(UserInputError, match=expected):
            select(source, split)


def test_wrong_roots(tmp_path, part_a):
    with pytest.raises(
        UserInputError, match=r"not laid out as layout='shanghaitech', looked for .* part_A may be meant; get Sh"
    ):
        find_source(tmp_path, "shanghaitech")
    with pytest.raises(UserInputError, match=r"'.*part_B' not found, looked for .*part_B_final is not there.*get Sh"):
        find_source(tmp_path / "part_B", "shanghaitech")
    with pytest.raises(UserInputError, match=r"not laid out as layout='ucf_cc_50', .*layout='shanghaitech' fits"):
        find_source(part_a, "ucf_cc_50")
    with pytest.raises(UserInputError, match="Did you mean 'shanghaitech'"):
        find_source(part_a, "shanghaitec")
    with pytest.raises(UserInputError, match="Did you mean 'train'"):
        select(find_source(part_a, "shanghaitech"), "trian")


def test_a_folder_that_cannot_be_listed(part_a, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(part_a), "iterdir", refuse)
    with pytest.raises(UserInputError, match=r"part_A: cannot be listed: Permission denied"):
        find_source(part_a, "shanghaitech")
