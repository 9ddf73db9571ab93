"""The README: short, and its excerpts are what the files say."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()
EXCERPTS = re.findall(r"```python\n# (\S+\.py): [^\n]*\n(.*?)```", TEXT, re.DOTALL)


def test_it_fits_on_two_screens():
    assert len(TEXT.split()) <= 1100


@pytest.mark.parametrize(("path", "code"), EXCERPTS, ids=[path for path, _ in EXCERPTS])
def test_excerpts_stand_in_the_files(path, code):
    source = [line.strip() for line in (ROOT / path).read_text().splitlines()]
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    assert len(lines) > 5
    place = source.index(lines[0])
    for line in lines[1:]:
        place = source.index(line, place + 1)  # in this order


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("tool", sorted(set(re.findall(r"tools/\w+\.py|configs/[\w/]+\.py", TEXT))))
def test_named_files_exist(tool):
    assert (ROOT / tool).is_file()
