"""configs/README.md names every config, and none that does not exist."""

import itertools
import re
from pathlib import Path

import pytest

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
INDEX = (CONFIGS / "README.md").read_text()


def named_in(text):
    """The files that the rows of an index open with: names, and patterns such as `shha_{resnet,ean_se}.py`."""
    for pattern in re.findall(r"^\| `([^`]+\.py)` \|", text, flags=re.MULTILINE):
        parts = [part.split(",") for part in re.split(r"[{}]", pattern)]
        yield from map("".join, itertools.product(*parts))


def files():
    """All configs and what they are made of, relative to the folder."""
    return sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.py"))


def test_the_index_names_every_config_once_and_no_other():
    assert sorted(named_in(INDEX)) == files()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.py", ["a.py"]),
        ("x/{a,b_c}.py", ["x/a.py", "x/b_c.py"]),
        ("{a,b}_{c,d}.py", ["a_c.py", "a_d.py", "b_c.py", "b_d.py"]),
    ],
)
def test_patterns_are_expanded(pattern, names):
    assert list(named_in(f"| config | what |\n|---|---|\n| `{pattern}` | `other.py` |\n")) == names


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)]+)\)|^\[\w+\]: (\S+)", INDEX, flags=re.MULTILINE)
    assert [link for link in map("".join, links) if not (CONFIGS / link).exists()] == []
