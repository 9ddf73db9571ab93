"""Imports go one way: backbones <- transfer <- tasks <- tools; and heavy libraries stay where they belong."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("backbones", "transfer", "tasks", "tools")
OPENMMLAB = {"mmengine", "mmcv", "mmseg"}


def imports(source):
    """Yields (top-level package, whole dotted name, whether at module level) of every import in a source text."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    later = {id(node) for function in functions for node in ast.walk(function)}  # what runs only when called
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        else:
            continue
        for name in names:
            yield name.split(".")[0], name, id(node) not in later


def wrong_imports(layer, path, source):
    """Names the imports that a file of `layer` must not have."""
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    found = []
    for package, name, at_top in imports(source):
        if package in above:
            found.append(f"{name}: {package} stands above {layer}")
        if layer == "backbones" and package in OPENMMLAB:
            found.append(f"{name}: backbones know nothing of OpenMMLab")
        if layer == "backbones" and package == "timm" and at_top:
            found.append(f"{name}: only where a timm layer is asked for")
        if path.parts[:2] in (("tasks", "counting"), ("tasks", "classification")) and package in {"mmseg", "mmcv"}:
            found.append(f"{name}: only segmentation needs mmsegmentation")
        if path.parts[:2] != ("tasks", "segmentation") and package == "mmseg" and at_top:
            found.append(f"{name}: takes seconds to import, so not at the top of a module")
    return found


def files():
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            yield layer, path.relative_to(ROOT)


@pytest.mark.parametrize(("layer", "path"), [pytest.param(*pair, id=str(pair[1])) for pair in files()])
def test_imports_go_one_way(layer, path):
    assert wrong_imports(layer, path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("layer", "path", "source"),
    [
        ("backbones", "backbones/x.py", "from transfer.engine import y"),
        ("backbones", "backbones/x.py", "def f():\n    import mmengine"),
        ("backbones", "backbones/x.py", "import timm"),
        ("backbones", "backbones/x.py", "try:\n    import timm\nexcept ImportError:\n    timm = None"),
        ("transfer", "transfer/x.py", "import tasks.counting"),
        ("tasks", "tasks/counting/x.py", "import mmseg.models"),
        ("tasks", "tasks/counting/x.py", "from tools import train"),
        ("transfer", "transfer/engine/x.py", "import mmseg"),
    ],
)
def test_a_wrong_arrow_is_seen(layer, path, source):
    assert wrong_imports(layer, Path(path), source)


def test_timm_may_be_imported_where_a_layer_is_asked_for():
    assert wrong_imports("backbones", Path("backbones/x.py"), "def layer():\n    import timm") == []
