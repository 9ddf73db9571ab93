"""`tools/benchmark.py`: every subcommand runs once at a tiny size; no time is judged."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from torch import nn

from backbones.card import BackboneCard, Provenance
from backbones.errors import UserInputError
from backbones.registry import get_card, register_backbone
from transfer.cli import run_command
from transfer.measure import tables as report
from transfer.measure.increment import measure_increments
from transfer.measure.networks import find_network, reference_of, settle
from transfer.measure.timed_models import Settings, TimedModel

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


def test_increments_are_paired_with_the_same_mode_of_the_plain_network(monkeypatch):
    """Clocked by hand: the machine is twice as slow in the last round."""
    seconds = {
        PLAIN: dict(eager=1.0, deployed=0.5),
        EAN: dict(eager=1.2, deployed=0.6),
        SHARE: dict(eager=1.1, deployed=0.7),
    }

    def times(models, settings):
        one = np.array([seconds[model.name][model.mode] for model in models])
        return np.stack([[one, one, 2 * one], [one, one, 2 * one]])

    def prepare(name, build, size, modes, settings):
        return [TimedModel(name, mode, nn.Identity(), nn.Identity(), torch.ones(4, *size)) for mode in modes]

    monkeypatch.setattr("transfer.measure.increment.times_of", times)
    monkeypatch.setattr("transfer.measure.increment.prepare", prepare)
    settings = Settings(batch=4, rounds=3, repeats=2)
    rows = measure_increments([EAN, SHARE, PLAIN], modes=["eager", "deployed"], settings=settings)
    by = {(row["name"], row["mode"]): row for row in rows}
    assert len(rows) == 6
    assert by[EAN, "eager"]["increment_percent"] == pytest.approx(20)
    assert by[EAN, "deployed"]["increment_percent"] == pytest.approx(20)
    assert by[SHARE, "deployed"]["increment_percent"] == pytest.approx(40)
    assert by[SHARE, "deployed"]["ci95"] == pytest.approx([40, 40])
    assert by[SHARE, "deployed"]["repeats"] == pytest.approx([40, 40])
    assert by[EAN, "deployed"]["time_against_eager"] == pytest.approx(0.6)
    assert by[PLAIN, "deployed"]["time_against_eager"] == pytest.approx(0.5)
    assert by[EAN, "eager"]["ms_per_image"] == pytest.approx(300)
    eager, deployed = report.rankings(rows)
    assert f"eager, least first: {SHARE} < {EAN}; the same in 2 of 2" in eager
    assert f"deployed, least first: {EAN} < {SHARE}" in deployed


def test_only_networks_whose_intervals_lie_apart_are_ranked():
    def row(name, increment, ci95, repeats):
        return dict(name=name, mode="eager", increment_percent=increment, ci95=ci95, repeats=repeats)

    rows = [row("plain", None, None, []), row("c", 5.0, [4.5, 5.5], [5.2, 1.6]), row("b", 1.9, [1.5, 2.1], [2.2, 1.5])]
    rows.append(row("a", 1.8, [1.6, 2.0], [1.7, 1.9]))
    (line,) = report.rankings(rows)
    assert line == "eager, least first: a ≈ b < c; the same in 1 of 2 repeats"


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
    assert 0 < more[path] - more[reference] <= 580 + 2184 + 8464  # SE, one module a stage
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


# ---- which networks, against which


def test_sizes_and_published_figures_are_those_of_the_card_or_the_config():
    network = find_network("resnet164_full_share_se.cifar100")
    assert network.size == 32 and sorted(network.published.values()) == [41.66, 52.09] and network.top1 == 76.09
    assert reference_of(network).name == "resnet164.cifar100"
    assert reference_of(find_network("resnet50_share_ean_se.standin")).name == "resnet50.imagenet"
    assert find_network("resnet50_share_ean_se.standin").published == {}
    counter = find_network(config("shha_ean_dia.py"))
    assert counter.size == 448 and list(counter.published.values()) == [29.43]
    assert list(find_network(config("shhb_ean_dia.py")).published.values()) == [8.71]
    classifier = find_network(config("c100_resnet164_full_share_se.py"))
    assert classifier.size == 32 and sorted(classifier.published.values()) == [41.66, 52.09]
    assert classifier.top1 == 76.09
    digits = find_network(config("standalone/digits_resnet38.py"))
    assert digits.published == {} and digits.top1 is None  # the card's figures are of other data


def test_segmentors_are_timed_at_the_size_of_their_crops():
    pytest.importorskip("mmseg")
    segmentor = find_network(config("voc_psp_full_share_se.py"))
    assert segmentor.size == 473 and list(segmentor.published.values()) == [48.16]


def test_a_network_without_plain_one_needs_against(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path))
    own = get_card("resnet50_full_share_se.imagenet")
    arch, depths = "resnet18", (2, 2, 2, 2)
    scheme = type(own.scheme).full(depths)
    provenance = Provenance("hand", "the tests")
    register_backbone(
        BackboneCard("resnet18_se.mine", arch, scheme, own.input, provenance, attention="se"), directory=tmp_path
    )
    network = find_network("resnet18_se.mine")
    with pytest.raises(UserInputError, match="--against"):
        reference_of(network)
    assert reference_of(network, "resnet50.imagenet").name == "resnet50.imagenet"


def test_settling_sets_the_statistics_and_nothing_else():
    norm = nn.BatchNorm2d(3, momentum=0.01)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), norm)
    batch = torch.randn(8, 3, 5, 5) * 7 + 3
    weights = model[0].weight.clone()
    settle(model, batch)
    assert not model.training and norm.momentum == 0.01 and torch.equal(weights, model[0].weight)
    with torch.no_grad():
        out = model(batch)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)


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


def test_the_picture_shows_every_network_in_every_mode(tmp_path):
    rows = [
        dict(name=name, mode=mode, increment_percent=x, ci95=[x - 1, x + 1], top1=None, parameters=parameters)
        for name, x, parameters in (("configs/a.py", 3.0, 10**6), ("configs/b.py", 6.0, 10**6))
        for mode in ("eager", "deployed", "compiled")
    ]
    report.draw_increments([*rows, dict(rows[0], increment_percent=None)], tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)[:, : image.width * 85 // 100]  # without the legend
    centres = []
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        ys, xs = np.nonzero(np.abs(pixels - colour).sum(2) < 30)
        assert len(np.unique(ys)) > 20  # three markers, one below the other
        centres.append(xs.mean())
    assert centres[1] - centres[0] == pytest.approx(3 / 10 * pixels.shape[1], rel=0.3)
