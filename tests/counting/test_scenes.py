"""Generated scenes: ShanghaiTech's layout, determinism, heads where they can be seen."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from backbones.errors import UserInputError
from tasks.counting.dataset import CrowdDataset
from tasks.counting.scenes import VISIBLE, _visible_heads, make_scene, write_scenes
from tasks.counting.scenes import Camera as SceneCamera

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def test_a_scene_depends_on_seed_and_number_only():
    first, again, other = make_scene(3, 5), make_scene(3, 5), make_scene(3, 6)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


def test_crowds_of_many_sizes():
    counts = [len(make_scene(0, n)[1]) for n in range(12)]
    assert min(counts) >= 20
    assert max(counts) <= 600
    assert max(counts) > 5 * min(counts)


def test_heads_lie_in_the_image_and_look_smaller_further_away():
    image, heads = make_scene(1, 2)
    assert image.dtype == np.uint8
    assert ((heads >= 0) & (heads < image.shape[1::-1])).all()
    assert (heads[:, 1] > 0.05 * image.shape[0]).all()


def test_a_hidden_head_is_not_annotated():
    camera = SceneCamera(20, 20, 2.0, 1.0)
    heads = np.array([[5.0, 5.0, 2.0], [14.0, 14.0, 2.0], [25.0, 5.0, 2.0]])
    owner = np.full((40, 40), -1)
    whole = np.pi * 1.15 * 16
    owner[6:14, 6 : 6 + int(whole * (VISIBLE + 0.1) / 8) + 1] = 0
    owner[24:26, 24 : 24 + int(whole * (VISIBLE - 0.1) / 2)] = 1
    assert _visible_heads(owner, heads, camera).tolist() == [[5.0, 5.0]]


def test_written_scenes_are_laid_out_as_shanghaitech(tmp_path):
    seen = []
    assert write_scenes(tmp_path / "out", 5, seed=1, progress=seen.append) == (4, 1)
    assert seen == [1, 2, 3, 4, 5]
    info = scipy.io.loadmat(tmp_path / "out/train_data/ground-truth/GT_IMG_2.mat")["image_info"]
    heads, number = info[0, 0][0, 0][0], info[0, 0][0, 0][1]
    image, expected = make_scene(1, 1)
    np.testing.assert_allclose(heads, expected + 0.5)  # MATLAB's first pixel has its centre at 1
    assert number.item() == len(expected)
    with Image.open(tmp_path / "out/train_data/images/IMG_2.jpg") as written:
        assert np.abs(np.asarray(written, float) - image).mean() < 8
    dataset = CrowdDataset(tmp_path / "out", split="train", val_ratio=0.25)
    assert len(dataset) == 3
    assert dataset.metainfo["part"] is None
    assert dataset.metainfo["outside"] == 0


def test_processes_write_what_one_writes(tmp_path, monkeypatch):
    write_scenes(tmp_path / "one", 4)
    monkeypatch.setattr("tasks.counting.scenes.WORTH_A_PROCESS", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    write_scenes(tmp_path / "two", 4)
    one, two = (
        {path.relative_to(root): path for path in root.rglob("*.*")} for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one.keys() == two.keys() and len(one) == 8
    assert all(path.suffix == ".mat" or path.read_bytes() == two[name].read_bytes() for name, path in one.items())


def test_nothing_is_overwritten_or_half_written(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(UserInputError, match="not empty"):
        write_scenes(tmp_path / "out", 4)
    with pytest.raises(UserInputError, match="images=1"):
        write_scenes(tmp_path / "new", 1)

    def fail(done):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_scenes(tmp_path / "new", 4, progress=fail)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_command(command):
    line = ("make_scenes.py", "counting", "s", "--images", "4", "--test-share", "0.5")
    done = command(*line)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 images for training, 2 for testing" in done.stdout
    again = command(*line)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "not empty" in again.stderr
