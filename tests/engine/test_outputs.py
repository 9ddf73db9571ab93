"""Results of predictions: whole at any time, whatever happens in between."""

import csv
import json
from pathlib import Path

import pytest

from backbones.errors import UserInputError
from transfer.engine import outputs
from transfer.engine.outputs import Results, checked_folder, unique_stems

HEADER, COLUMNS = {"checkpoint": "a.pth"}, ("image", "count")


def read(folder):
    """Both files: the JSON, and the CSV's rows."""
    with open(folder / "predictions.csv", newline="") as file:
        return json.loads((folder / "predictions.json").read_text()), list(csv.DictReader(file))


def test_both_files_are_valid_after_each_row(tmp_path):
    out = tmp_path / "a" / "b"
    with Results(out, HEADER, COLUMNS) as results:
        assert not out.exists()
        for number in range(3):
            results.add({"image": f"{number}.jpg", "count": number, "more": [1]})
            record, rows = read(out)
            assert [row["image"] for row in rows] == [f"{n}.jpg" for n in range(number + 1)]
            assert record["predictions"][0]["more"] == [1] and record["complete"] is False
    record, rows = read(out)
    assert record == results.record and len(record["predictions"]) == len(rows) == 3 and record["complete"] is True
    assert sorted(path.name for path in out.iterdir()) == ["predictions.csv", "predictions.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_was_done_before_the_end_came_is_there(tmp_path, error):
    with pytest.raises(error), Results(tmp_path, HEADER, COLUMNS) as results:
        results.add({"image": "a.jpg", "count": 1})
        results.add({"image": "b.jpg", "count": 2})
        raise error
    record, rows = read(tmp_path)
    assert len(record["predictions"]) == len(rows) == 2 and record["complete"] is False


def test_rows_are_saved_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "SECONDS_BETWEEN_SAVES", 0.0)
    with Results(tmp_path, HEADER, COLUMNS) as results:
        for number in (1, 2):
            results.add({"image": "a.jpg", "count": 1})
            assert len(read(tmp_path)[0]["predictions"]) == number


def test_an_input_that_fails_is_named_and_the_others_go_on(tmp_path):
    with Results(tmp_path, HEADER) as results:
        for name in ("a", "b"):
            with results.attempt(Path(name)):
                if name == "a":
                    raise UserInputError("a: is no image")
                results.add({"image": name})
    record = json.loads((tmp_path / "predictions.json").read_text())
    assert record["failed"] == [{"image": "a", "reason": "a: is no image"}] and len(record["predictions"]) == 1
    assert not (tmp_path / "predictions.csv").exists()


def test_nothing_is_left_where_nothing_could_be_predicted(tmp_path):
    with pytest.raises(UserInputError, match=r"a: is no image.*1 more"), Results(tmp_path / "out", HEADER) as results:
        for name in ("a", "b"):
            with results.attempt(Path(name)):
                raise UserInputError(f"{name}: is no image")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("held", ["predictions.json", "predictions.csv"])
def test_a_folder_of_results_is_refused_and_any_other_is_not(tmp_path, held):
    assert checked_folder(tmp_path) == tmp_path
    (tmp_path / held).touch()
    with pytest.raises(UserInputError, match="--overwrite"):
        checked_folder(tmp_path)
    assert checked_folder(tmp_path, overwrite=True) == tmp_path
    with pytest.raises(UserInputError, match="--out: is empty"):
        checked_folder("")


def test_stems_are_unique():
    paths = [Path(name) for name in ("a.jpg", "x/a.png", "a_2.jpg", "b.jpg", "y/a.jpg")]
    assert list(unique_stems(paths)) == ["a", "a_2", "a_2_2", "b", "a_3"]
