"""Data sets: official pickles without running code, splits, augmentation as a pure function."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backbones.errors import UserInputError
from tasks.classification import Cifar100, Digits, ImageFolder
from tasks.classification.augment import random_crop, random_flip, uniforms
from tasks.classification.cifar import read_pickle
from tasks.classification.folder import central_square, random_box
from tasks.classification.splits import balanced_subset, held_out, ranks_in_class
from transfer.engine.sampling import EpochIndex

PER_CLASS = 4


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """CIFAR-100 in the official layout, four training images and one test image a class."""
    folder = tmp_path_factory.mktemp("data") / "cifar-100-python"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 100 * PER_CLASS), ("test", 100)):
        content = {
            "data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
            "fine_labels": generator.permutation(np.arange(count) % 100).tolist(),
        }
        (folder / part).write_bytes(pickle.dumps(content))
    names = [f"class{i}" for i in range(100)]
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names, "coarse_label_names": []}))
    return folder


# ---- reading


def python2_pickle(array):
    """`{"data": array, "fine_labels": [7]}` as Python 2 and numpy 1 wrote it, opcode by opcode."""
    rows, columns = array.shape
    raw = array.tobytes()
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01K" + bytes([rows]) + b"M" + columns.to_bytes(2, "little") + b"\x86" + dtype + b"\x89"
    state += b"T" + len(raw).to_bytes(4, "little") + raw + b"tb"
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    return b"\x80\x02}(U\x04data" + reconstruct + state + b"U\x0bfine_labels]K\x07au."


@pytest.mark.parametrize("protocol", ["python2", 2, 4, 5])
def test_reads_the_pickles_of_python_2_and_3(tmp_path, protocol):
    array = np.random.default_rng(1).integers(0, 256, (2, 3072), dtype=np.uint8)
    content = {"data": array, "fine_labels": [7]}
    made = python2_pickle(array) if protocol == "python2" else pickle.dumps(content, protocol=protocol)
    (tmp_path / "train").write_bytes(made)
    read = read_pickle(tmp_path / "train")
    np.testing.assert_array_equal(read["data"], array)
    assert read["data"].dtype == np.uint8 and read["fine_labels"] == [7]


class Evil:
    def __reduce__(self):
        return (open, ("pwned", "w"))


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"data": Evil()}),
        b"\x80\x02cbuiltins\neval\nU\x031+1\x85R.",
        b"\x80\x02cnumpy\nload\nU\x01x\x85R.",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8)})[:-40],
    ],
)
def test_refuses_every_other_pickle_in_one_line(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").write_bytes(content)
    with pytest.raises(UserInputError, match="train: ") as error:
        read_pickle(tmp_path / "train")
    assert "\n" not in str(error.value) and not (tmp_path / "pwned").exists()


def test_refuses_files_of_another_data_set(tmp_path):
    (tmp_path / "meta").write_bytes(pickle.dumps({"fine_label_names": ["a"] * 100}))
    for content, message in (
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]}, "has no key 'fine_labels'"),
        ({"data": np.zeros((2, 784), np.uint8), "fine_labels": [1, 2]}, r"expected uint8 \(N, 3072\)"),
        ({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [1, 100]}, "0 to 99"),
    ):
        (tmp_path / "train").write_bytes(pickle.dumps(content))
        with pytest.raises(UserInputError, match=message):
            Cifar100(str(tmp_path))
    with pytest.raises(UserInputError, match="no such file"):
        Cifar100(str(tmp_path), split="test")


def test_pixels_are_in_the_official_order(cifar):
    content = pickle.loads((cifar / "test").read_bytes())
    item = Cifar100(str(cifar), split="test")[5]
    red, green, blue = content["data"][5][:1024], content["data"][5][1024:2048], content["data"][5][2048:]
    expected = np.stack([plane.reshape(32, 32) for plane in (red, green, blue)])
    np.testing.assert_array_equal(item["inputs"].numpy(), expected)
    assert item["labels"] == content["fine_labels"][5] and item["inputs"].dtype == torch.uint8


# ---- splits


def test_d_val_is_held_out_of_the_training_set_and_fixed_by_seed(cifar):
    def images(**arguments):
        data = Cifar100(str(cifar), **arguments)
        return [data[i]["inputs"].numpy().tobytes() for i in range(len(data))], data.labels

    (train, _), (val, labels), (both, _) = (
        images(split=split, val_per_class=1) for split in ("train", "val", "trainval")
    )
    assert len(train) == 300 and len(val) == 100 and len(both) == 400
    assert not set(train) & set(val) and set(train) | set(val) == set(both)
    assert np.bincount(labels).tolist() == [1] * 100
    assert images(split="val", val_per_class=1)[0] == val
    assert images(split="val", val_per_class=1, val_seed=1)[0] != val
    assert not set(images(split="test")[0]) & set(both)


def test_split_that_leaves_a_class_empty_is_refused(cifar):
    with pytest.raises(UserInputError, match=r"val_per_class=4: expected 1 to 3"):
        Cifar100(str(cifar), split="val", val_per_class=4)
    with pytest.raises(UserInputError, match="split='valid'"):
        Cifar100(str(cifar), split="valid")


def test_subsets_are_balanced_and_nested():
    labels = np.random.default_rng(0).integers(0, 7, 500)
    small, large = balanced_subset(labels, 70, 3), balanced_subset(labels, 100, 3)
    assert set(small) < set(large) and np.bincount(labels[small]).tolist() == [10] * 7
    assert np.ptp(np.bincount(labels[large])) == 1
    with pytest.raises(UserInputError, match="images=501: expected 1 to 500"):
        balanced_subset(labels, 501, 3)


def test_ranks_against_a_loop():
    labels = np.random.default_rng(1).integers(0, 5, 60)
    order = np.random.default_rng(9).permutation(60)
    expected, seen = np.empty(60, int), [0] * 5
    for index in order:
        expected[index] = seen[labels[index]]
        seen[labels[index]] += 1
    np.testing.assert_array_equal(ranks_in_class(labels, 9), expected)
    first = held_out(np.array([1, 0, 1, 0, 1, 0]), "val", 1, None)
    assert first.tolist() == [0, 1]


# ---- augmentation


def test_a_batch_equals_one_after_the_other_in_any_company(cifar):
    data = Cifar100(str(cifar), val_per_class=1, augment=["crop", "flip"], seed=4)
    indices = [EpochIndex(i, epoch) for i, epoch in ((3, 0), (3, 1), (250, 1), (0, 7))]
    batch = data.__getitems__(indices)
    for index, item in zip(indices, batch, strict=True):
        assert torch.equal(item["inputs"], data[index]["inputs"]) and item["labels"] == data[index]["labels"]
    assert not torch.equal(batch[0]["inputs"], batch[1]["inputs"])  # another epoch, another view
    other_seed = Cifar100(str(cifar), val_per_class=1, augment=["crop", "flip"], seed=5)
    assert any(
        not torch.equal(data[EpochIndex(i, 0)]["inputs"], other_seed[EpochIndex(i, 0)]["inputs"]) for i in (1, 2)
    )


def test_crop_and_flip_against_a_loop():
    generator = np.random.default_rng(0)
    images, draws = generator.integers(0, 256, (50, 3, 6, 5), dtype=np.uint8), generator.random((50, 3))
    cropped = random_crop(images, draws[:, :2], 2)
    for image, result, (a, b, _) in zip(images, cropped, draws, strict=True):
        padded = np.zeros((3, 10, 9), np.uint8)
        padded[:, 2:8, 2:7] = image
        top, left = int(a * 5), int(b * 5)
        np.testing.assert_array_equal(result, padded[:, top : top + 6, left : left + 5])
    flipped = random_flip(images, draws[:, 2])
    for image, result, (*_, c) in zip(images, flipped, draws, strict=True):
        np.testing.assert_array_equal(result, image[..., ::-1] if c < 0.5 else image)


def test_draws_are_uniform_and_do_not_depend_on_each_other():
    indices = np.arange(4000)
    first, second = (uniforms(0, np.full(4000, epoch), indices, 3) for epoch in (0, 1))
    for draws in (first, second, uniforms(1, np.zeros(4000, int), indices, 3)):
        assert draws.min() >= 0 and draws.max() < 1
        counts = np.histogram(draws, 10, (0, 1))[0]
        assert ((counts - 1200) ** 2 / 1200).sum() < 33  # chi-squared, 9 degrees of freedom, p about 1e-4
    columns = np.concatenate([first, second], 1)
    correlations = np.corrcoef(columns.T) - np.eye(6)
    assert np.abs(correlations).max() < 0.07  # more than four standard errors


def test_unknown_augmentation_is_refused(cifar):
    with pytest.raises(UserInputError, match="Did you mean 'flip'"):
        Cifar100(str(cifar), val_per_class=1, augment=["flop", "crop"])


# ---- image folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("imagenet")
    generator = np.random.default_rng(0)
    for part, count in (("train", 3), ("val", 1)):
        for name in ("n01", "n02"):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (40 + 3 * i, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{name}_{i}.png")
    return root


def test_folder_holds_out_the_first_files_of_each_class(folder):
    options = {"data_root": str(folder), "val_per_class": 1, "size": 32, "resize": 36}
    val, train, test = (ImageFolder(split=split, **options) for split in ("val", "train", "test"))
    assert [path.rsplit("/", 1)[1] for path in val.files] == ["n01_0.png", "n02_0.png"]
    assert len(train) == 4 and not set(train.files) & set(val.files)
    assert test.labels.tolist() == [0, 1] and "/val/" in test.files[0]
    item = train[1]
    assert item["inputs"].shape == (3, 32, 32) and item["inputs"].dtype == torch.uint8 and item["labels"] == 0


def test_folder_augments_by_seed_epoch_and_index(folder):
    data = ImageFolder(str(folder), val_per_class=1, size=32, resize=36, augment=["resized_crop", "flip"])
    views = [data[EpochIndex(0, epoch)]["inputs"] for epoch in (0, 1, 0)]
    assert torch.equal(views[0], views[2]) and not torch.equal(views[0], views[1])


def test_folder_views_are_torchvisions(folder):
    transforms = pytest.importorskip("torchvision.transforms.functional")
    for size in ((50, 43), (43, 50), (50, 50), (37, 91)):
        image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (*size, 3), dtype=np.uint8))
        expected = transforms.center_crop(transforms.resize(image, 36), [32, 32])
        np.testing.assert_array_equal(np.array(central_square(image, 36, 32)), np.array(expected))


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.35, 0.8)])
def test_random_boxes_lie_inside_and_spread_as_torchvisions(scale):
    generator = np.random.default_rng(0)
    boxes = np.array([random_box(60, 40, generator, scale) for _ in range(4000)])
    left, top, width, height = boxes.T
    assert (left >= 0).all() and (top >= 0).all() and (left + width <= 60).all() and (top + height <= 40).all()
    transforms = pytest.importorskip("torchvision.transforms")
    torch.manual_seed(0)
    image = torch.zeros(3, 40, 60)
    rule = transforms.RandomResizedCrop.get_params
    theirs = np.array([rule(image, list(scale), [3 / 4, 4 / 3]) for _ in range(4000)])  # top, left, height, width
    for mine, reference in ((width, theirs[:, 3]), (height, theirs[:, 2]), (left, theirs[:, 1]), (top, theirs[:, 0])):
        assert abs(mine.mean() - reference.mean()) < 4 * reference.std() / 2000**0.5
    assert random_box(3, 300, generator)[2:] == (3, 4)  # no try fits: the centre, at the nearest aspect


def test_folder_names_what_is_wrong(folder, tmp_path):
    with pytest.raises(UserInputError, match="not found"):
        ImageFolder(str(tmp_path / "nowhere"))
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
    with pytest.raises(UserInputError, match="holds no image"):
        ImageFolder(str(tmp_path))
    for name in ("a", "b"):
        for i in range(2):
            (tmp_path / "train" / name / f"{i}.jpg").write_bytes(b"no image")
    data = ImageFolder(str(tmp_path), val_per_class=1)
    with pytest.raises(UserInputError, match=r"1\.jpg: cannot be decoded"):
        data[0]
    (tmp_path / "val" / "c").mkdir(parents=True)
    (tmp_path / "val" / "c" / "x.jpg").write_bytes(b"")
    with pytest.raises(UserInputError, match="class folders are not those of"):
        ImageFolder(str(tmp_path), split="test")
    with pytest.raises(UserInputError, match=r"dataset\.scale=\(0, 1\)"):
        ImageFolder(str(folder), val_per_class=1, scale=(0, 1))


# ---- Tiny-ImageNet's own layout


def as_unpacked(folder, root):
    """The images of `folder`, in ImageNet's layout, as Tiny-ImageNet unpacks; the annotations in no order."""
    lines = []
    for part in ("train", "val"):
        for path in sorted((folder / part).glob("*/*"), reverse=True):
            name = path.parent.name
            inside = root / part / (f"{name}/images" if part == "train" else "images")
            inside.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, inside)
            (root / "train" / name / f"{name}_boxes.txt").write_text("x.JPEG\t0\t0\t63\t63\n")
            lines += [f"{path.name}\t{name}\t0\t32\t44\t62\n"] * (part == "val")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root


@pytest.fixture
def tiny(folder, tmp_path):
    return as_unpacked(folder, tmp_path / "tiny-imagenet-200")


@pytest.mark.parametrize("split", ["train", "val", "trainval", "test"])
def test_both_layouts_give_the_same_items(folder, tiny, split):
    options = {"split": split, "val_per_class": 1, "size": 32, "resize": 36, "augment": ["resized_crop", "flip"]}
    ours, theirs = ImageFolder(str(folder), **options), ImageFolder(str(tiny), **options)
    assert ours.classes == theirs.classes == ("n01", "n02") and len(ours) == len(theirs) > 0
    for index in range(len(ours)):
        assert Path(ours.files[index]).name == Path(theirs.files[index]).name
        one, other = ours[EpochIndex(index, 1)], theirs[EpochIndex(index, 1)]
        assert torch.equal(one["inputs"], other["inputs"]) and one["labels"] == other["labels"]


def test_images_sorted_into_folders_are_read_although_the_annotations_are_still_there(folder, tiny):
    for name in ("n01", "n02"):
        (tiny / "val" / name).mkdir()
        (tiny / "val" / "images" / f"{name}_0.png").rename(tiny / "val" / name / f"{name}_0.png")
    (tiny / "val" / "images").rmdir()
    assert ImageFolder(str(tiny), split="test").labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("n01_0.png\tn01\n\n", r"line 2 is '', expected a file name, a tab and a class"),
        ("n01_0.png n01\nn02_0.png n02\n", r"line 1 is 'n01_0\.png n01', expected a file name, a tab and a class"),
        ("n01_0.png\tn01\n../n02_0.png\tn02\n", r"line 2 names '\.\./n02_0\.png', which is not in .*val/images"),
        ("n01_0.png\tn01\nn01_0.png\tn02\n", r"line 2 names 'n01_0\.png', which .* was named before"),
        ("n01_0.png\tn01\n", r"names no class for 1 images of .*, such as 'n02_0\.png'"),
        ("n01_0.png\tn01\nn02_0.png\tn03\n", r"not those of .*train: n02, n03 in one of them only"),
        ("n01_0.png\tn01\nn02_0.png\t\xff\n", "is no text file"),
        (None, "has images/ but no val_annotations.txt"),
    ],
)
def test_wrong_annotations_are_one_line(tiny, text, line):
    path = tiny / "val" / "val_annotations.txt"
    path.unlink() if text is None else path.write_bytes(text.encode("latin1"))
    with pytest.raises(UserInputError, match=line) as error:
        ImageFolder(str(tiny), split="test")
    assert "\n" not in str(error.value) and str(tiny / "val") in str(error.value)


# ---- digits


def test_digits():
    reference = pytest.importorskip("sklearn.datasets").load_digits()
    parts = {split: Digits(split=split) for split in ("train", "val", "test", "trainval")}
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 797,
        "val": 500,
        "test": 500,
        "trainval": 1297,
    }
    together = np.concatenate([parts["trainval"].pixels, parts["test"].pixels])
    assert together.shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(
        np.sort(together.reshape(1797, -1).sum(1)), np.sort(np.rint(reference.data * 255 / 16).sum(1).astype(int))
    )
    assert np.bincount(parts["val"].labels).tolist() == [50] * 10
