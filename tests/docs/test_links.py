"""Pages of the documentation: their links lead to files and headings, and each of them can be found from the first."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def anchors(path):
    """What a link may name behind `#`, as repositories' sites make it of headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    links = re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", CODE.sub("", page.read_text()))
    for target, anchor in (link.partition("#")[::2] for link in links):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def test_every_page_is_in_the_index():
    listed = []
    for index in (ROOT / "docs").rglob("index.md"):
        for names in re.findall(r"```\{toctree\}\n(?::[^\n]*\n)*(.*?)```", index.read_text(), re.DOTALL):
            listed += [(index.parent / f"{name}.md").resolve() for name in names.split()]
    assert all(path.is_file() for path in listed)
    missing = {path for path in PAGES if path not in listed} - {ROOT / "docs/index.md"}
    assert not missing
