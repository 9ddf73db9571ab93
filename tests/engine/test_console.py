"""What long work shows: nothing where it is short and piped, a line now and then where it is long."""

from __future__ import annotations

import pytest

from transfer.engine import console


def test_items_come_through_and_short_work_is_silent_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.tracked(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    with console.working("thinking"):
        pass
    assert capsys.readouterr() == ("", "")


def test_long_work_says_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(0, 1000, 8))
    monkeypatch.setattr(console.time, "monotonic", lambda: float(next(seconds)))
    assert sum(1 for _ in console.tracked(range(4), "images", 4)) == 4
    out, error = capsys.readouterr()
    # 16 seconds after the start two are done: as much is left for the other two
    assert out == "" and error.splitlines()[0] == "2 of 4 images, 0:00:16 left"


def test_work_that_fails_goes_on_failing() -> None:
    with pytest.raises(ValueError, match="third"):
        for item in console.tracked(range(5), "numbers", 5):
            if item == 2:
                raise ValueError("third")
