"""Videos: counts by frame, the overlay and the plot; small ones, written here."""

import csv
import weakref

import cv2
import numpy as np
import pytest
from counting_tiny import counter

from backbones.errors import UserInputError
from tasks.counting import video_results
from tasks.counting.image_results import Wanted
from tasks.counting.predict import predict_array
from tasks.counting.regions import read_regions
from tasks.counting.video_results import predict_video
from transfer.engine.outputs import Results
from transfer.engine.video import opened, writer

SIZE = (50, 70)


def frames(number, seed=0):
    """Smooth images that differ from each other."""
    rng = np.random.default_rng(seed)
    return [cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), SIZE[::-1]) for _ in range(number)]


def make_video(path, number=10, code="MJPG", fps=5.0):
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, SIZE[::-1])
    for image in frames(number):
        video.write(image[..., ::-1].copy())
    video.release()
    return path


@pytest.fixture
def model():
    return counter(loss={"type": "DensityMSELoss"}).eval()


def predicted(model, path, out, **wanted):
    with Results(out, {}) as results, results.attempt(path):
        predict_video(model, path, out, path.stem, Wanted(**wanted), results)
    return results.record


@pytest.mark.parametrize(("ending", "code"), [(".avi", "MJPG"), (".mp4", "mp4v"), (".mkv", "MJPG"), (".mov", "mp4v")])
def test_every_frame_is_read_with_its_time(tmp_path, ending, code):
    with opened(make_video(tmp_path / f"clip{ending}", code=code)) as video:
        assert (video.fps, video.announced) == (5.0, 10)
        read = list(video.frames())
    assert [frame.number for frame in read] == list(range(10))
    assert [frame.seconds for frame in read] == pytest.approx([n / 5 for n in range(10)], abs=1e-6)
    for frame, image in zip(read, frames(10), strict=True):
        assert frame.image.shape == (*SIZE, 3) and np.abs(frame.image.astype(int) - image).mean() < 16


def test_counts_are_those_of_the_frames(tmp_path, model):
    path = make_video(tmp_path / "clip.avi")
    record = predicted(model, path, tmp_path / "out", every=3, regions=read_regions(["0,0,35,50"]), grid=(2, 2))
    (row,) = record["videos"]
    with open(tmp_path / "out" / row["counts"], newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["frame"]) for line in lines] == [0, 3, 6, 9]
    assert [float(line["seconds"]) for line in lines] == [0.0, 0.6, 1.2, 1.8]
    with opened(path) as video:
        expected = [predict_array(model, frame.image).pred_count for frame in video.frames(3)]
    counts = [float(line["count"]) for line in lines]
    assert counts == pytest.approx(expected, abs=1e-5) and len(set(counts)) == 4
    assert (row["frames"], row["min"], row["max"]) == (4, min(counts), max(counts))
    assert row["mean"] == pytest.approx(np.mean(counts), abs=1e-5)
    for line in lines:
        cells = [float(line[f"cell_{r}_{c}"]) for r in (1, 2) for c in (1, 2)]
        assert sum(cells) == pytest.approx(float(line["count"]), abs=1e-4)
        assert cells[0] + cells[2] == pytest.approx(float(line["region_roi"]), abs=1e-4)
    assert cv2.imread(str(tmp_path / "out" / row["plot"])).std() > 0
    with opened(tmp_path / "out" / row["overlay"]) as video:
        drawn = list(video.frames())
    assert len(drawn) == 4 and video.fps == pytest.approx(5 / 3, rel=0.01)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "clip_frames.csv", "clip_counts.png", "clip_density.webm", "predictions.json",
    }  # fmt: skip


def test_frames_are_not_kept(tmp_path, model, monkeypatch):
    seen, alive = [], []

    def watched(model, image):
        alive.append(sum(one() is not None for one in seen))
        sample = predict_array(model, image)
        seen.extend((weakref.ref(image), weakref.ref(sample)))
        return sample

    monkeypatch.setattr(video_results, "predict_array", watched)
    predicted(model, make_video(tmp_path / "clip.avi"), tmp_path / "out")
    assert len(alive) == 10 and max(alive) <= 2  # at most the frame before


@pytest.mark.parametrize("content", [b"", b"no video" * 500, None])
def test_what_is_no_video_is_one_line_and_leaves_nothing(tmp_path, model, capfd, content):
    path = tmp_path / "bad.mp4"
    path.write_bytes(make_video(tmp_path / "clip.mp4", code="mp4v").read_bytes()[:900] if content is None else content)
    capfd.readouterr()
    with pytest.raises(UserInputError, match=r"bad\.mp4: holds no frame") as error:
        predicted(model, path, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
    assert capfd.readouterr() == ("", "")


def test_a_region_outside_the_frames_leaves_nothing(tmp_path, model):
    path = make_video(tmp_path / "clip.avi", 3)
    with pytest.raises(UserInputError, match="outside the image"):
        predicted(model, path, tmp_path / "out", regions=read_regions(["0,0,500,5"]))
    assert not (tmp_path / "out").exists()


def test_a_video_that_is_cut_off_is_predicted_and_named(tmp_path, model):
    whole = make_video(tmp_path / "whole.webm", 30, "VP90").read_bytes()
    path = tmp_path / "cut.webm"
    path.write_bytes(whole[: len(whole) // 2])
    record = predicted(model, path, tmp_path / "out", overlay=False)
    (row,), (failure,) = record["videos"], record["failed"]
    assert 0 < row["frames"] < 27 and f"after {row['frames']} of 30 frames" in failure["reason"]
    assert len((tmp_path / "out" / row["counts"]).read_text().splitlines()) == row["frames"] + 1


def test_an_overlay_that_is_broken_off_leaves_nothing(tmp_path, capfd):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "a.webm", 5) as add:
        add(frames(1)[0])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir()) and capfd.readouterr().err == ""
    with writer(tmp_path / "a.webm", 5):
        pass
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="cannot write"), writer(tmp_path / "no" / "a.webm", 5) as add:
        add(frames(1)[0])


def test_the_colours_of_a_video_do_not_flicker(tmp_path, model, monkeypatch):
    tops = []
    monkeypatch.setattr(
        video_results, "draw", lambda *args, top, **rest: tops.append(top) or np.zeros((16, 16, 3), np.uint8)
    )
    predicted(model, make_video(tmp_path / "clip.avi"), tmp_path / "out")
    assert len(tops) == 10 and tops == sorted(tops)
    tops.clear()
    predicted(model, tmp_path / "clip.avi", tmp_path / "other", vmax=0.7)
    assert tops == [0.7] * 10
