"""The commands beside increment and throughput once at a tiny size, and the collection; no time is judged."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from backbones.errors import RunError
from transfer.benchmarks import startup
from transfer.cli import run_command
from transfer.measure.columns import as_markdown, interval, number, text

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def module(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("transfer.commands.benchmark")


@pytest.fixture
def tool(module):
    """Runs the command in tmp_path; gives its exit status and what it wrote."""

    def run(*argv):
        status = run_command(module.main, [*argv, "--out", "out.json"])
        return status, json.loads(Path("out.json").read_text()) if Path("out.json").exists() else None

    return run


def test_density_of_generated_scenes(tool, capsys):
    options = ("--data", "generated", "--scenes", "1", "--sample", "1", "--strides", "8", "--heads", "10", "40")
    status, written = tool("density", *options)
    assert status == 0 and written["command"].startswith("python tools/benchmark.py density --data generated")
    fixed, adaptive, few, more = written["rows"]
    assert fixed["mode"] == "width 8" and adaptive["mode"] == "adaptive widths" and fixed["images"] == 1
    assert fixed["heads"] == adaptive["heads"] > 0 and fixed["mass_error"] < 1e-3 and fixed["speedup"] > 0
    assert (few["heads"], more["heads"]) == (10, 40) and few["peak_memory_mb"] > 0
    assert "generated scenes" in capsys.readouterr().out


def test_trie(tool):
    options = ("--size", "8", "--batch", "2", "--schemes", "6", "--rounds", "1", "--memory", "2", "--sample", "2")
    status, written = tool("trie", *options)
    assert status == 0 and [row["mode"] for row in written["rows"]] == ["trie", "memory"]
    assert written["rows"][0]["blocks_run"] < written["rows"][0]["blocks_alone"] == 72


def test_scaling(tool):
    sizes = ("--schemes", "2", "4", "--images", "2", "4", "--heads", "10", "20", "--megapixels", "0.005", "0.01")
    status, written = tool("scaling", *sizes, "--batch", "2", "--rounds", "1", "--png", "s.png")
    assert status == 0 and Path("s.png").read_bytes().startswith(b"\x89PNG")
    units = [row["unit"] for row in written["rows"]]
    assert [units.count(unit) for unit in ("schemes", "images", "heads", "megapixels")] == [2, 2, 4, 4]
    assert all(row["seconds"] > 0 and row["slope"] is not None for row in written["rows"])


def test_steps_of_classifiers(tool):
    small = ("--name", "resnet38_share_ean_se.standin", "--against", "resnet38.cifar100", "--timm", "none")
    status, written = tool("steps", "--heads", "classifier", *small, "--size", "16", "--rounds", "1")
    assert status == 0 and [row["mode"] for row in written["rows"]] == ["train"] * 6 + ["memory"] * 2


# ---- startup


def test_startup_tells_what_is_loaded(tool, monkeypatch):
    monkeypatch.setattr(startup, "COMMANDS", (("tools/train.py", "--help"),))
    monkeypatch.setattr(startup, "IMPORTS", {"scipy": "import scipy"})
    status, written = tool("startup", "--rounds", "1", "--clock", "cpu")
    assert status == 0
    command, scipy = written["rows"]
    assert command["mode"] == "command" and command["seconds"] > 0 and command["loaded"] is None
    assert scipy["mode"] == "import" and scipy["loaded"] == ["torch", "scipy"]


def test_a_command_that_fails_is_no_time(monkeypatch, tmp_path):
    (tmp_path / "bad.py").write_text("raise SystemExit('no such thing')")
    monkeypatch.setattr(startup, "COMMANDS", (("bad.py",),))
    with pytest.raises(RunError, match=r"bad\.py: ended with status 1: no such thing"):
        startup.measure_startup(tmp_path, rounds=1)


# ---- all


@pytest.fixture
def collection(module, monkeypatch):
    """Runs `all` with benchmarks in this process, or with those that fail."""
    everything = module.everything

    def run(*argv, fail=()):
        def run_one(name, given):
            return f"{name} broke" if name in fail else run_command(module.main, given) or None

        monkeypatch.setattr(everything, "_run_one", run_one)
        return run_command(module.main, ["all", "--quick", "--out-dir", "out", *argv])

    return run


def test_a_failure_stops_nothing_and_is_told(collection, capsys):
    only = ("--only", "density", "trie_resnet38", "search", "--threads", "1", "--clock", "cpu")
    assert collection(*only, fail=["density"]) == 1
    printed = capsys.readouterr().out
    assert "density: failed: density broke" in printed and "search: done" in printed
    document = Path("out/benchmarks.md").read_text()
    sections = {part.split(":")[0]: part for part in document.split("\n## ")}
    assert "Failed in the last run: density broke." in sections["density"] and "| " not in sections["density"]
    assert "python tools/benchmark.py trie --size 8" in sections["trie_resnet38"]
    assert "| resnet38_full_share_se.cifar100 | trie |" in sections["trie_resnet38"]
    assert "cpu clock" in sections["trie_resnet38"] and "Regret on planted" in sections["search"]
    assert "Not measured." in sections["scaling"]
    assert sorted(path.name for path in Path("out/speed").iterdir()) == ["search.json", "trie_resnet38.json"]

    assert collection("--only", "density") == 0
    document = Path("out/benchmarks.md").read_text()
    assert "generated scenes | width 8 |" in document and "Failed" not in document and "Regret on planted" in document
    assert collection("--only", "density", fail=["density"]) == 1
    assert "density broke. What follows is of an earlier run." in Path("out/benchmarks.md").read_text()


def test_every_benchmark_is_in_the_collection_with_arguments_that_it_takes(module):
    everything = module.everything
    assert {entry.command for entry in everything.PLAN.values()} == set(module.COMMANDS)
    for quick in ((), ("--quick",)):
        args = module.parse_args(["all", "--threads", "2", "--clock", "cpu", *quick])
        for name in everything.PLAN:
            argv = everything.argv_of(name, args, ROOT / "results")
            parsed = module.parse_args(argv)
            assert parsed.out == f"results/speed/{name}.json" and getattr(parsed, "threads", 2) == 2


@pytest.mark.parametrize(
    ("argv", "says"), [(["--quick"], "--out-dir"), (["--only", "densty", "--out-dir", "o"], "Did you mean 'density'")]
)
def test_what_all_refuses(module, capsys, argv, says):
    assert run_command(module.main, ["all", *argv]) == 2
    assert says in capsys.readouterr().err


def test_a_benchmark_of_the_collection_is_a_process(module, monkeypatch):
    assert "invalid choice" in module.everything._run_one("x", ["nonsense"])


# ---- columns


def test_columns_that_say_nothing_are_left_out():
    columns = {"a": text("name"), "b": number("x", 1), "c": interval("ci", 0), "d": text("missing")}
    rows = [{"name": "one|two", "x": 1234.56, "ci": [1, 2]}, {"name": "n", "x": None}]
    assert as_markdown(rows, columns).splitlines() == [
        "| a | b | c |",
        "| --- | --- | --- |",
        "| one\\|two | 1,234.6 | 1 to 2 |",
        "| n | – | – |",
    ]
