"""Pages in `results` whose records are committed too: the command writes them again, byte for byte."""

from pathlib import Path

import pytest

from transfer.analysis.report.search import PAGE, write_report
from transfer.pipeline.artefacts import SEARCH

pytestmark = pytest.mark.slow

RESULTS = Path(__file__).resolve().parents[2] / "results"
REPORTED = sorted(page.parent for page in RESULTS.rglob(PAGE) if (page.parent / SEARCH).is_file())


def test_there_is_something_to_write_again():
    assert REPORTED


@pytest.mark.parametrize("folder", REPORTED, ids=[folder.name for folder in REPORTED])
def test_a_search_is_reported_in_the_same_words(folder, tmp_path):
    assert write_report(folder, tmp_path).read_bytes() == (folder / PAGE).read_bytes()
