"""How `make docs` builds these pages.

The repository is the source, not this folder, so that links between any two files of it hold; the pages are Markdown
that reads the same on the repository's own site. Nothing is fetched.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

from sphinx.addnodes import pending_xref

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the packages of this checkout, whatever is installed

project = "ean-transfer"
release = metadata.version("ean-transfer")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**", "*.md", "configs/README.md", "results/**", "transfer/search/methods/README.md"]
myst_heading_anchors = 4
suppress_warnings = ["toc.not_included"]  # reports below results/, which the results' pages link to
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
html_theme = "furo"
html_title = project


def as_rst(app, what, name, obj, options, lines):
    """Docstrings are Markdown: `code` is code, not a role."""
    text = "\n".join(lines)
    lines[:] = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``\\ ", text).split("\n")


def unlink_folders(app, doctree):
    """Links to folders are for the repository's own site, here they are words; links to nothing stay errors."""
    page = Path(app.env.doc2path(app.env.docname)).parent
    for link in list(doctree.findall(pending_xref)):
        if link["reftype"] == "myst" and not link["refdomain"] and (page / link["reftarget"]).is_dir():
            link.replace_self(link.children)


def setup(app):
    app.connect("autodoc-process-docstring", as_rst)
    app.connect("doctree-read", unlink_folders)
