"""The commands beside increment and throughput once at a tiny size, and the collection; no time is judged."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from backbones.errors import RunError
from transfer.benchmarks import startup
from transfer.benchmarks.bounds import goal
from transfer.cli import run_command
from transfer.measure.columns import as_markdown, interval, number, text

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def module(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("benchmark_tool", ROOT / "tools" / "benchmark.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_a_training_step_is_held_against_others_in_the_faster_memory_format(module):
    def row(form, against, its, ratio, ms):
        compared = dict(against=against, against_format=its, ratio=ratio, ratio_ci95=[ratio, ratio])
        return dict(memory_format=form, ms_per_image=ms, **compared)

    rows = [row("contiguous", "plain", "contiguous", 1.2, 9), row("channels_last", "plain", "channels_last", 1.04, 8)]
    rows += [
        row("channels_last", "timm seresnet50", its, ratio, 8) for its, ratio in zip("ab", (0.9, 0.97), strict=True)
    ]
    goals = module.COMMANDS["steps"].goals([*rows, dict(memory_format="channels_last", mode="memory")])
    assert [line.rpartition(": ")[2] for line in goals] == ["reached", "reached", "missed"]
    assert "plain (channels_last): 1.040" in goals[0] and "timm seresnet50 (b): 0.970" in goals[2]
    assert module.COMMANDS["steps"].goals([dict(mode="train", ratio=1.0)]) == []


def test_increments_and_throughput_are_held_against_what_they_should_reach(module):
    name = "resnet50_share_ean_se.standin"
    row = dict(name=name, mode="deployed", size=224, batch=8, repeats=[], increment_percent=2.5, ci95=[1.0, 3.5])
    row |= dict(time_against_eager=0.8, time_against_eager_ci95=[0.79, 0.82])
    others = [row | dict(mode="eager"), row | dict(size=32), row | dict(batch=1), row | dict(name="another")]
    goals = module.COMMANDS["increment"].goals([row, *others])
    assert [line.rpartition(": ")[2] for line in goals] == ["missed by the interval", "reached"]
    ranked = [
        row | dict(name=text, repeats=[at, at], increment_percent=at, ci95=[at, at])
        for text, at in (("a", 1), ("b", 2))
    ]
    assert module.COMMANDS["increment"].goals(ranked) == ["- deployed, least first: a < b; the same in 2 of 2 repeats"]

    fast = row | dict(malloc="kept", speedup=1.35, speedup_ci95=[1.31, 1.4])
    (line,) = module.COMMANDS["throughput"].goals([fast, fast | dict(mode="eager")])
    assert "malloc kept" in line and line.endswith("at least 1.3: reached")


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


# ---- cells and goals


def test_cells_and_the_columns_that_say_something():
    columns = {"a": text("name"), "b": number("x", 1), "c": interval("ci", 0), "d": text("missing")}
    rows = [{"name": "one|two", "x": 1234.56, "ci": [1, 2]}, {"name": "n", "x": None}]
    assert as_markdown(rows, columns).splitlines() == [
        "| a | b | c |",
        "| --- | --- | --- |",
        "| one\\|two | 1,234.6 | 1 to 2 |",
        "| n | – | – |",
    ]


@pytest.mark.parametrize(
    ("value", "ends", "at_least", "verdict"),
    [
        (2.0, [1.9, 2.1], True, "reached"),
        (2.0, [1.4, 2.6], True, "missed by the interval"),
        (1.4, [1.3, 1.6], True, "missed"),
        (1.4, [1.3, 1.45], False, "reached"),
        (1.4, [1.3, 1.6], False, "missed by the interval"),
        (1.6, None, False, "missed"),
        (1.5, None, True, "reached"),
    ],
)
def test_goals_are_judged_by_the_unfavourable_end(value, ends, at_least, verdict):
    assert goal("x", value, 1.5, at_least=at_least, ends=ends).endswith(f" 1.5: {verdict}")
