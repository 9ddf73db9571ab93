"""Imports go one way, without circles (the contracts in pyproject.toml); heavy libraries stay where they belong."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("backbones", "transfer", "tasks")
OPENMMLAB = {"mmengine", "mmcv", "mmseg"}


def lint(folder):
    """Whether the contracts hold for the packages in `folder`, and what is said; a process, as it looks them up."""
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def test_packages_import_one_way_and_in_no_circle():
    kept, said = lint(ROOT)
    assert kept, said


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Our packages without their contents but for two arrows that are right; the contracts hold."""
    root = tmp_path_factory.mktemp("empty")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    names = [*LAYERS, *(name.strip() for line in layers for name in line.split("|")), "tasks.counting"]
    for folder in (root.joinpath(*name.split(".")) for name in (*names, "backbones.attention")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / "y.py").touch()
    (root / "backbones/attention/z.py").write_text("import backbones.y\n")
    (root / "tasks/counting/z.py").write_text("import transfer.pipeline.y\n")
    shutil.copy(ROOT / "pyproject.toml", root)
    kept, said = lint(root)
    assert kept, said
    return root


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("transfer/engine/x.py", "def later():\n    from transfer.pipeline import y"),
        ("backbones/x.py", "from transfer.engine import y"),
        ("transfer/search/x.py", "import tasks.counting"),
        ("transfer/commands/x.py", "import tasks.counting"),
        ("transfer/measure/x.py", "import transfer.search.y"),
        ("backbones/y.py", "import backbones.attention.z"),
    ],
)
def test_a_wrong_arrow_is_seen(empty, tmp_path, path, source):
    root = Path(shutil.copytree(empty, tmp_path / "root"))
    (root / path).write_text(f"{source}\n")
    assert not lint(root)[0]


def imports(source):
    """Yields (top-level package, whether at module level) of every import in a source text."""
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
            yield name.split(".")[0], id(node) not in later


def misplaced(path, source):
    """Names the heavy libraries that a file must not import."""
    found = []
    for package, at_top in imports(source):
        if path.parts[0] == "backbones" and package in OPENMMLAB:
            found.append(f"{package}: backbones know nothing of OpenMMLab")
        if path.parts[0] == "backbones" and package == "timm" and at_top and path.name != "timm_plugin.py":
            found.append(f"{package}: only where a timm layer is asked for, and in the plug-in for timm")
        if path.parts[:2] in (("tasks", "counting"), ("tasks", "classification")) and package in {"mmseg", "mmcv"}:
            found.append(f"{package}: only segmentation needs mmsegmentation")
        if path.parts[:2] != ("tasks", "segmentation") and package == "mmseg" and at_top:
            found.append(f"{package}: takes seconds to import, so not at the top of a module")
    return found


def test_heavy_libraries_stay_where_they_belong():
    files = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
    found = {path.relative_to(ROOT): misplaced(path.relative_to(ROOT), path.read_text("utf-8")) for path in files}
    assert {str(path): lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("backbones/x.py", "def f():\n    import mmengine"),
        ("backbones/x.py", "import timm"),
        ("backbones/x.py", "try:\n    import timm\nexcept ImportError:\n    timm = None"),
        ("tasks/counting/x.py", "import mmseg.models"),
        ("transfer/engine/x.py", "import mmseg"),
    ],
)
def test_a_misplaced_library_is_seen(path, source):
    assert misplaced(Path(path), source)


def test_timm_may_be_imported_where_a_layer_is_asked_for():
    assert misplaced(Path("backbones/x.py"), "def layer():\n    import timm") == []
