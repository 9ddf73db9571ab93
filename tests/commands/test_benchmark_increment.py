"""`tools/benchmark.py`: every subcommand runs once at a tiny size; no time is judged."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

from backbones.registry import get_card
from transfer.cli import run_command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EAN, SHARE, PLAIN = "resnet38_share_ean_se.standin", "resnet38_full_share_se.cifar100", "resnet38.cifar100"


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """Runs the command in tmp_path; gives its exit status and the rows that it wrote."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("benchmark_tool", ROOT / "tools" / "benchmark.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*argv):
        status = run_command(module.main, [*argv, "--out", "out.json"])
        written = json.loads(Path("out.json").read_text()) if Path("out.json").exists() else None
        return status, written

    return run


def config(name):
    return str(ROOT / "configs" / name)


def is_png(path):
    return Path(path).read_bytes().startswith(b"\x89PNG")


# ---- increment


def test_increments_of_registered_names(tool, capsys):
    options = ("--batch", "1", "--rounds", "2", "--repeats", "3", "--clock", "cpu", "--png", "figure.png")
    status, written = tool("increment", EAN, SHARE, *options)
    assert status == 0 and is_png("figure.png")
    rows = {(row["name"], row["mode"]): row for row in written["rows"]}
    assert set(rows) == {(name, mode) for name in (PLAIN, EAN, SHARE) for mode in ("eager", "deployed")}
    row, plain = rows[SHARE, "deployed"], rows[PLAIN, "deployed"]
    assert row["against"] == PLAIN and plain["against"] is None and plain["increment_percent"] is None
    assert row["size"] == 32 and row["batch"] == 1 and row["rounds"] == 6 and len(row["repeats"]) == 3
    assert row["ci95"][0] <= row["increment_percent"] <= row["ci95"][1]
    assert row["parameters"] == get_card(SHARE).parameters.count and row["ms_per_image"] > 0
    assert row["memory_format"] == "channels_last" and rows[SHARE, "eager"]["memory_format"] == "contiguous"
    assert row["peak_memory_mb"] > 32 * 32 * 64 * 4 / 1e6  # at least one wide map
    assert rows[SHARE, "eager"]["difference"] == 0 < row["difference"] < 1e-4
    assert written["machine"]["threads"] == torch.get_num_threads() and "torch" in written["machine"]["versions"]
    printed = capsys.readouterr().out
    assert printed.count(EAN) >= 2 and "of 3 repeats" in printed and "torch" in printed


def test_increments_against_a_network_of_ones_own_choice(tool):
    options = ("--against", SHARE, "--modes", "eager", "--batch", "1", "--rounds", "1", "--size", "16")
    status, written = tool("increment", EAN, *options)
    assert status == 0
    assert [(row["name"], row["against"], row["size"]) for row in written["rows"]] == [
        (SHARE, None, 16),
        (EAN, SHARE, 16),
    ]


@pytest.mark.parametrize("name", ("shha_small_ean_se.py", "voc_small_ean_se.py"))
def test_increments_of_counters_and_segmentors(tool, name):
    if name.startswith("voc"):
        pytest.importorskip("mmseg")
    path = config(name)
    status, written = tool(
        "increment", path, "--size", "64", "--batch", "1", "--rounds", "1", "--modes", "eager,deployed"
    )
    assert status == 0
    reference = f"{path} on resnet38.c100_6ep"
    assert [row["name"] for row in written["rows"]] == [reference] * 2 + [path] * 2
    assert {row["against"] for row in written["rows"]} == {None, reference}
    more = {row["name"]: row["parameters"] for row in written["rows"]}
    assert 0 < more[path] - more[reference] <= 580 + 2184 + 8464  # SE, one module per stage
    assert all(row["difference"] < 1e-3 for row in written["rows"])


def test_increments_of_classifiers_at_the_size_of_their_card(tool):
    path = config("c100_resnet38_full_share_se.py")
    status, written = tool("increment", path, "--batch", "2", "--rounds", "1", "--modes", "deployed")
    assert status == 0
    reference, row = written["rows"]
    assert (reference["name"], row["against"]) == (f"{path} on {PLAIN}", reference["name"])
    assert row["size"] == 32 and 0 < row["difference"] < 1e-4


def test_the_compiled_mode_is_deployed_too(tool, monkeypatch):
    monkeypatch.setattr("torch.compile", functools.partial(torch.compile, backend="eager"))
    options = ("--modes", "compiled", "--batch", "1", "--rounds", "1", "--against", EAN, "--size", "16")
    status, written = tool("increment", EAN, *options)
    assert status == 0 and [row["mode"] for row in written["rows"]] == ["compiled"]
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("resnet38_share_ean.standin",), "Did you mean"),
        (("configs/none.py",), "does not exist"),
        ((EAN, "--against", "resnet38.cifar10"), "Did you mean 'resnet38.cifar100'"),
        ((EAN, "--modes", "eager,depolyed"), "Did you mean 'deployed'"),
        ((EAN, "--batch", "0"), "--batch 0"),
        ((EAN, "--rounds", "0"), "--rounds 0"),
        ((EAN, "--threads", "0"), "--threads 0"),
        ((EAN, "--size", "0"), "--size 0"),
        ((EAN, "--device", "cud"), "--device cud"),
    ],
)
def test_wrong_input_is_refused_in_one_line(tool, capsys, argv, says):
    status, written = tool("increment", *argv)
    error = capsys.readouterr().err
    assert status == 2 and written is None and says in error and error.count("\n") == 1


def test_an_unknown_subcommand_is_refused(tool):
    with pytest.raises(SystemExit) as caught:
        tool("increments", EAN)
    assert caught.value.code == 2


# ---- the other subcommands


def test_throughput_beside_timm(tool, capsys, monkeypatch):
    pytest.importorskip("timm")
    options = ("--size", "32", "--batch", "1", "--rounds", "1", "--threads", "1")
    monkeypatch.setattr("transfer.benchmarks.throughput.malloc_in_use", iter(["default", "default", "kept"]).__next__)
    status, written = tool("throughput", "resnet50_share_ean_se.standin", *options)
    assert status == 0
    modes = [(row["name"], row["mode"]) for row in written["rows"]]
    ours = [("resnet50_share_ean_se.standin", mode) for mode in ("eager", "deployed")]
    each = [("timm resnet50", "eager"), ("timm seresnet50", "eager"), *ours]
    assert modes == each * 2 and [row["malloc"] for row in written["rows"]] == ["default"] * 4 + ["kept"] * 4
    for reference in (written["rows"][1], written["rows"][5]):
        assert reference["speedup"] == 1 and reference["increment_percent"] == 0
    assert all(row["images_per_second"] == pytest.approx(1000 / row["ms_per_image"]) for row in written["rows"])
    assert "timm seresnet50" in capsys.readouterr().out


def test_steps_beside_mmsegmentation(tool, capsys):
    pytest.importorskip("mmseg")
    status, written = tool("steps", "--heads", "psp", "--size", "33", "--pairs", "1")
    assert status == 0 and written["rows"][0]["mode"] == "train" and "RegisteredBackbone" not in written["machine"]
    assert written["rows"][0]["ratio"] > 0
    DefaultScope._instance_dict.clear()
