"""Folders, classes, suffixes and ignored id of one's own, by the config that docs/data.md shows."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from segmentation_files import CONFIGS, write_mask

from backbones.errors import UserInputError
from tasks.segmentation.dataset import VOCLayoutDataset

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")]

CLASSES, VOID = 11, 11
SMALL = """
train_dataloader.batch_size=2 train_dataloader.num_workers=0 train_dataloader.persistent_workers=False
val_dataloader.num_workers=0 val_dataloader.persistent_workers=False
test_dataloader.num_workers=0 test_dataloader.persistent_workers=False
train_dataloader.dataset.pipeline.2.scale=(48,48) train_dataloader.dataset.pipeline.3.crop_size=(32,32)
val_dataloader.dataset.pipeline.1.scale=(48,48) test_dataloader.dataset.pipeline.1.scale=(48,48)
model.data_preprocessor.size=(32,32) model.decode_head.channels=8 model.auxiliary_head.channels=8
train_cfg.max_iters=2 train_cfg.val_interval=2 param_scheduler.0.end=1 param_scheduler.1.begin=1 param_scheduler.1.end=2
"""


def write_camvid(root, shape=(36, 48)):
    """CamVid's layout and ids: 11 classes, void 11."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        (root / "images" / split).mkdir(parents=True)
        for number in range(count):
            ids = np.kron(rng.integers(0, CLASSES + 1, (3, 4)), np.ones((12, 12))).astype(np.uint8)
            assert (ids == VOID).any() or number or split != "test"
            image = rng.integers(0, 40, (*shape, 3)) + ids[..., None] * 18
            name = f"0001TP_{number:06d}.png"
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "images" / split / name)
            write_mask(root / "labels" / split / name, ids)
    return root


@pytest.fixture
def camvid(tmp_path):
    """The data, and the config of the document beside them."""
    text = (CONFIGS.parent / "docs" / "data.md").read_text()
    (block,) = [part for part in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "CamVid" in part]
    assert '"configs/voc_small_resnet.py"' in block
    config = block.replace('"configs/', f'"{CONFIGS}/').replace('"CamVid"', f'"{tmp_path / "CamVid"}"')
    (tmp_path / "camvid.py").write_text(config)
    return write_camvid(tmp_path / "CamVid")


def miou(pairs):
    """Independent: the mean over classes that are in a mask or a prediction, outside void."""
    hits, unions = np.zeros(CLASSES), np.zeros(CLASSES)
    for predicted, truth in pairs:
        for label in range(CLASSES):
            found, there = (predicted == label)[truth != VOID], (truth == label)[truth != VOID]
            hits[label] += (found & there).sum()
            unions[label] += (found | there).sum()
    return 100 * np.mean(hits[unions > 0] / unions[unions > 0])


def test_the_documents_config_trains_and_void_does_not_count(command, camvid, tmp_path):
    checked = command("check_data.py", "camvid.py", "--json")
    report = json.loads(checked.stdout)
    assert checked.returncode == 0 and not report["problems"], report
    assert [(row["split"], row["images"]) for row in report["splits"]] == [
        ("train (train)", 4),
        ("val (val)", 2),
        ("test (test)", 3),
    ]
    done = command("train.py", "camvid.py", "--cfg-options", *SMALL.split())
    assert done.returncode == 0, done.stderr[-2000:]
    checkpoint = tmp_path / "work_dirs" / "camvid" / "iter_2.pth"
    done = command("test.py", "camvid.py", checkpoint, "--out", "metrics.json", "--cfg-options", *SMALL.split())
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads(Path("metrics.json").read_text())
    assert list(record["metrics"]["iou"])[::10] == ["sky", "cyclist"] and record["data"]["list"] == "test/*.png"

    done = command(
        "predict.py", "camvid.py", checkpoint, camvid / "images/test", "--out", "out", "--cfg-options", *SMALL.split()
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names = sorted(path.stem for path in (camvid / "images/test").iterdir())
    pairs = [
        (np.asarray(Image.open(f"out/{name}_mask.png")), np.asarray(Image.open(camvid / f"labels/test/{name}.png")))
        for name in names
    ]
    assert sum((truth == VOID).sum() for _, truth in pairs) > 0
    assert record["metrics"]["miou"] == pytest.approx(miou(pairs), abs=1e-6)
    assert record["metrics"]["miou"] != pytest.approx(miou([(p, np.where(t == VOID, 0, t)) for p, t in pairs]), abs=0.1)


@pytest.mark.parametrize("tool", ["check_data.py", "train.py"])
@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("test_evaluator.ignore_index=255", "test_evaluator.ignore_index=255"),
        ("model.decode_head.num_classes=12", "model.decode_head.num_classes=12"),
    ],
)
def test_what_contradicts_the_data_is_one_line(command, camvid, tool, option, named):
    done = command(tool, "camvid.py", "--cfg-options", *SMALL.split(), option)
    assert done.returncode == 2 and not Path("work_dirs").exists()
    lines = [line for line in (done.stdout + done.stderr).splitlines() if named in line]
    assert len(lines) == 1 and done.stderr.count("\n") <= 1


def test_names_come_from_the_folder_in_order_folders_below_it_too(camvid):
    (camvid / "images/train/seq").mkdir()
    (camvid / "labels/train/seq").mkdir()
    (camvid / "images/train/0001TP_000003.png").rename(camvid / "images/train/seq/0000_L.png")
    (camvid / "labels/train/0001TP_000003.png").rename(camvid / "labels/train/seq/0000.png")
    (camvid / "images/train/notes.txt").write_text("no image")
    prefix = dict(img_path="images/train", seg_map_path="labels/train")
    data = VOCLayoutDataset(camvid, None, prefix, ".png", metainfo=dict(classes=list("abcdefghijk")), test_mode=True)
    found = [Path(data.get_data_info(i)["img_path"]).relative_to(camvid / "images/train") for i in range(len(data))]
    assert [str(p) for p in found] == [*(f"0001TP_{i:06d}.png" for i in range(3)), "seq/0000_L.png"]
    suffixed = VOCLayoutDataset(camvid, None, prefix, "_L.png")
    assert suffixed.get_data_info(0)["seg_map_path"] == str(camvid / "labels/train/seq/0000.png")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (dict(data_prefix=dict(img_path="imgs")), "imgs: no such folder"),
        (dict(img_suffix=".jpg"), r"holds no image \*\.jpg \(found: \.png\)"),
        (dict(img_suffix=".png", seg_map_suffix="_L.png"), r"images/train: holds '0001TP_000000', but .*000000_L\.png"),
        (dict(ignore_index=300), "ignore_index=300: expected"),
    ],
)
def test_wrong_folders_are_one_line(camvid, options, line):
    options = {"data_prefix": dict(img_path="images/train", seg_map_path="labels/train"), **options}
    with pytest.raises(UserInputError, match=line) as error:
        VOCLayoutDataset(camvid, ann_file=None, **options)
    assert "\n" not in str(error.value)


def test_masks_without_an_image_are_a_remark(command, camvid):
    (camvid / "images/val/0001TP_000001.png").unlink()
    done = command("check_data.py", "camvid.py", "--json")
    remarks = json.loads(done.stdout)["remarks"]
    assert any("labels/val: 1 masks of no image" in line and "0001TP_000001.png" in line for line in remarks)
