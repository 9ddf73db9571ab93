"""`ean import-points`: from what annotation tools write to a data set that trains, whole or not at all."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from annotation_files import CASES, CENTRE, COCO, HEAD, LABELME, ONLY_POINTS, POINTS, write_example
from counting_files import save_image

from backbones.errors import UserInputError
from tasks.counting.check import check
from tasks.counting.dataset import CrowdDataset
from tasks.counting.import_points import SPLITS, import_points, summary
from tasks.counting.points import read_points

ALL_TRAIN = {"val_share": 0, "test_share": 0}


@pytest.fixture
def photos(tmp_path):
    """A folder with street.jpg, 60 x 40 pixels."""
    (tmp_path / "photos").mkdir()
    save_image(tmp_path / "photos/street.jpg")
    return tmp_path / "photos"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("boxes", ["centre", "head"])
def test_points_of_every_format_arrive_exactly(photos, tmp_path, case, boxes):
    source = write_example(tmp_path / "labels", case)
    report = import_points(source, tmp_path / "out", images=photos, boxes=boxes, **ALL_TRAIN)
    point = CENTRE if boxes == "centre" else HEAD
    expected = [*([] if case == "voc" else POINTS), *([] if case in ONLY_POINTS else [point])]
    found = read_points(tmp_path / "out/train/points/street.csv")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    copied = tmp_path / "out/train/images/street.jpg"
    assert copied.read_bytes() == (photos / "street.jpg").read_bytes()
    assert report.splits == {"train": (1, len(expected))}
    assert f"1 images, {len(expected)} points" in report.files[0] and f"({case.split()[0]})" in report.files[0]
    told = f"1 of them from boxes, at their {boxes}s"
    assert (told in report.files[0]) == (case not in ONLY_POINTS)


def annotate(folder, names, shapes=2, **changes):
    """LabelMe files of so many points beside images of those names."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, name in enumerate(names):
        image = folder / name
        image.parent.mkdir(parents=True, exist_ok=True)
        save_image(image, seed=n)
        points = [{"label": "head", "shape_type": "point", "points": [[5 + i, 10]]} for i in range(shapes)]
        content = {**LABELME, "imagePath": image.name, "shapes": points, **changes}
        image.with_suffix(".json").write_text(json.dumps(content))
    return folder


TWENTY = [f"IMG_{n}.jpg" for n in range(1, 21)]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_twenty_images_become_a_data_set(tmp_path):
    source = annotate(tmp_path / "photos", TWENTY)
    report = import_points(source, tmp_path / "out")
    assert report.splits == {"train": (14, 28), "val": (2, 4), "test": (4, 8)}
    names = [path.stem for split in SPLITS for path in (tmp_path / "out" / split / "images").iterdir()]
    assert len(names) == 20 and {f"{name}.jpg" for name in names} == set(TWENTY)
    for split, (images, points) in report.splits.items():
        data = CrowdDataset(tmp_path / "out", split, layout="folder")
        assert (len(data), data.metainfo["heads"]) == (images, points)
    config = {
        f"{s}_dataloader": {"dataset": {"data_root": str(tmp_path / "out"), "layout": "folder", "split": s}}
        for s in SPLITS
    }
    checked = check({**config, "model": {"noun": "cars"}})
    assert checked.sound and [row["cars"] for row in checked.rows] == [28, 4, 8]


def test_the_draw_depends_on_seed_and_names_only(tmp_path):
    source = annotate(tmp_path / "photos", TWENTY)
    shutil.copytree(source, tmp_path / "elsewhere/again")
    for out, folder, seed in (("a", source, 3), ("b", tmp_path / "elsewhere/again", 3), ("c", source, 4)):
        import_points(folder, tmp_path / out, seed=seed, val_share=0.25, test_share=0.25)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a").keys() != contents(tmp_path / "c").keys()


def test_nothing_is_left_out_without_a_word(tmp_path):
    source = annotate(tmp_path / "photos", ["a.jpg", "b.jpg"])
    annotate(source, ["empty.jpg"], shapes=0)
    save_image(source / "forgotten.png")
    (source / "labels.json").write_text('{"version": 3}')
    (source / "a.json").write_text(
        json.dumps({**LABELME, "imagePath": "a.jpg", "shapes": [*LABELME["shapes"], *annotated_outside()]})
    )
    report = import_points(source, tmp_path / "out", **ALL_TRAIN)
    assert (report.empty, report.unannotated) == (["empty.jpg"], ["forgotten.png"])
    text = "\n".join(summary(report))
    for words in (
        "1 images annotated without points, count 0: empty.jpg",
        "1 images without annotation, left out: forgotten.png",
        "labels.json: is in no known format and named like no image, left out",
        "a.jpg: 1 of its 4 points lie outside the image",
        "a.json (labelme): 1 images, 4 points, 1 of them from boxes, at their centres",
        "labels, all counted alike (--label picks): without a label 1, car 1, head 2, man 2",
        "train 3 images with 6 points",
    ):
        assert words in text
    assert not (tmp_path / "out/train/images/forgotten.png").exists()


def annotated_outside():
    return [{"shape_type": "point", "points": [[5, 90]]}]


def test_labels_can_be_picked(photos, tmp_path):
    source = write_example(tmp_path / "labels", "coco")
    report = import_points(source, tmp_path / "out", images=photos, labels=["car"], **ALL_TRAIN)
    assert read_points(tmp_path / "out/train/points/street.csv").tolist() == [list(CENTRE)]
    assert "left out, as --label says: 2 man" in report.remarks
    with pytest.raises(UserInputError, match=r"--label cart: .*\(car, man\)\. Did you mean 'car'"):
        import_points(source, tmp_path / "other", images=photos, labels=["cart"], **ALL_TRAIN)


def test_images_of_one_name_in_two_folders(tmp_path):
    source = annotate(tmp_path / "photos", ["one/a.jpg", "two/a.jpg", "b.jpg"])
    import_points(source, tmp_path / "out", **ALL_TRAIN)
    images = {path.name: path.read_bytes() for path in (tmp_path / "out/train/images").iterdir()}
    assert images == {
        "one_a.jpg": (source / "one/a.jpg").read_bytes(),
        "two_a.jpg": (source / "two/a.jpg").read_bytes(),
        "b.jpg": (source / "b.jpg").read_bytes(),
    }


def test_points_called_like_other_images_are_told_apart_or_refused(tmp_path):
    source = annotate(tmp_path / "photos", ["a.jpg", "a_ann.jpg"])
    with pytest.raises(UserInputError, match=r"has two files of points, a\.csv and a_ann\.csv"):
        import_points(source, tmp_path / "out", **ALL_TRAIN)
    assert not (tmp_path / "out").exists()


def label(source, name, *shapes):
    """Writes a LabelMe file anew."""
    (source / f"{name}.json").write_text(json.dumps({**LABELME, "imagePath": f"{name}.jpg", "shapes": shapes}))


def remove(*paths):
    for path in paths:
        path.unlink()


def exchange(source):
    remove(source / "b.json")
    (source / "b.csv").write_text("x,y\n20,50\n10,55\n3,3\n")


def normalise(source):
    for name in "abc":
        label(source, name, *({"shape_type": "point", "points": [[n / 10, 0.2]]} for n in range(3)))


ABSENT = json.dumps({**COCO, "images": [{"id": 7, "file_name": "absent.jpg"}]})
POLYGON = {"shape_type": "polygon", "points": [[1, 2], [3, 4], [5, 6]]}
# What is done to a folder with a, b and c.jpg with their LabelMe files, and the line that follows.
WRONG_DATA = {
    "an image is missing": (
        lambda source: remove(source / "b.jpg"),
        r"b\.json: its image 'b.jpg' is not in .* name the images' folder by --images",
    ),
    "images of a list are missing": (
        lambda source: (source / "coco.json").write_text(ABSENT),
        r"coco\.json: its image 'absent.jpg' is not in",
    ),
    "an image has another size": (
        lambda source: save_image(source / "b.jpg", (80, 120)),
        r"b\.jpg: has 120 x 80 pixels, .*b\.json is about 60 x 40",
    ),
    "an image is annotated twice": (
        lambda source: (source / "b.csv").write_text("1,2\n"),
        r"b\.jpg: is annotated twice, in .*b\.csv and in .*b\.json: remove one",
    ),
    "coordinates are shares": (normalise, "all coordinates are between 0 and 1, expected pixels"),
    "x and y are exchanged": (exchange, r"b\.jpg: 2 of its 3 points in .*b\.csv lie outside its 60 x 40 pixels"),
    "a file is in no format": (
        lambda source: (source / "b.json").write_text('{"heads": []}'),
        r"b\.json: is in no known format, expected one of coco: COCO's JSON.*labelme: .*via: ",
    ),
    "a polygon": (lambda source: label(source, "b", POLYGON), "shape 1 is 'polygon', expected a point or an upright"),
    "an image is broken": (lambda source: (source / "b.jpg").write_bytes(b"no"), r"b\.jpg: cannot be decoded"),
    "one image only": (
        lambda source: remove(source / "b.json", source / "c.json"),
        "1 annotated images: nothing is left for training",
    ),
    "no annotations": (
        lambda source: remove(*source.glob("*.json")),
        "photos: holds no annotations, expected files that end in .*.json",
    ),
}
WRONG_OPTIONS = [
    ({"format": "labelmee"}, "format 'labelmee' is unknown, expected one of .*'labelme'"),
    ({"format": "coco"}, r"a\.json: is not in the format coco \(KeyError"),
    ({"val_share": 0.5, "test_share": 0.5}, "whose sum is below 1"),
    ({"seed": -1}, "--seed -1"),
    ({"boxes": "center"}, "--boxes center: expected centre or head. Did you mean 'centre'"),
    ({"images": "nowhere"}, "nowhere: no such folder"),
    ({"images": "none"}, "none: holds no images"),
]


def refused(tmp_path, source, line, **options):
    before = contents(tmp_path)
    with pytest.raises(UserInputError, match=line) as error:
        import_points(source, tmp_path / "out", **options)
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", WRONG_DATA)
def test_wrong_data_are_one_line_and_leave_nothing(tmp_path, case):
    change, line = WRONG_DATA[case]
    source = annotate(tmp_path / "photos", ["a.jpg", "b.jpg", "c.jpg"])
    change(source)
    refused(tmp_path, source, line)


@pytest.mark.parametrize(("options", "line"), WRONG_OPTIONS)
def test_wrong_options_are_one_line_and_leave_nothing(tmp_path, monkeypatch, options, line):
    source = annotate(tmp_path / "photos", ["a.jpg", "b.jpg", "c.jpg"])
    (tmp_path / "none").mkdir()
    monkeypatch.chdir(tmp_path)
    refused(tmp_path, source, line, **options)


def test_a_source_that_is_not_there(tmp_path):
    refused(tmp_path, tmp_path / "nowhere", "nowhere: no such")


def test_a_folder_that_holds_anything_is_refused(photos, tmp_path):
    source = write_example(tmp_path / "labels", "csv")
    run = partial(import_points, source, tmp_path / "out", images=photos, **ALL_TRAIN)
    (tmp_path / "out").mkdir()
    run()
    before = contents(tmp_path / "out")
    with pytest.raises(UserInputError, match=r"--out .*out: is there already and not empty"):
        run()
    assert contents(tmp_path / "out") == before


def test_an_interrupted_import_leaves_nothing(photos, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    source = write_example(tmp_path / "labels", "csv")
    monkeypatch.setattr("tasks.counting.import_points.write_points", fail)
    before = contents(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        import_points(source, tmp_path / "out", images=photos, **ALL_TRAIN)
    assert contents(tmp_path) == before


def test_the_command(command, tmp_path):
    annotate(tmp_path / "photos", TWENTY[:10])
    done = command("import_points.py", "photos", "--out", "data/own_counting", "--test-share", 0.3, "--seed", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == (
        "data/own_counting: train 6 images with 12 points, val 1 images with 2 points, test 3 images with 6 points"
    )
    again = command("import_points.py", "photos", "--out", "data/own_counting")
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "not empty" in again.stderr
    checked = command("check_data.py", "own_counting")
    assert checked.returncode == 0 and "people" in checked.stdout, checked.stdout
