"""Whole width searches on a handful of images: what they leave, stopped and gone on with, and as cards."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from width_files import ROOT, noise_options, write_config, write_noise

import transfer.engine  # noqa: F401
from backbones.errors import UserInputError
from backbones.registry import create_backbone, get_card
from backbones.verification import verify_backbone
from backbones.widths import WidthPlan
from transfer.analysis.report.width import write_width_report
from transfer.engine.config_check import load_config
from transfer.pipeline.width import run as width_run
from transfer.pipeline.width.artefacts import read_finetunes, read_widths
from transfer.pipeline.width.config import read_any_config
from transfer.pipeline.width.register import register_width_search
from transfer.pipeline.width.run import run_width_search
from transfer.search.supernet import SupernetProblem
from transfer.search.width.ranking import TOLERANCE
from transfer.search.width.training import WidthTraining

pytestmark = pytest.mark.slow
pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

NAME = "resnet38_share_ean_se.half"
WHOLE = "resnet38_share_ean_se.c100_6ep"


@pytest.fixture(scope="module")
def finished(once) -> Path:
    """A finished width search on digits, distilled; tests only read it."""

    def fill(folder):
        path = write_config(folder / "config.py", finetune__distill={})
        assert run_width_search(read_any_config(path), folder / "work") == 0

    return once("widths", fill)


def results(folder: Path):
    """`widths.json` without durations."""
    found = read_widths(folder)
    return replace(
        found,
        dense=replace(found.dense, seconds=None),
        rows=tuple(replace(row, seconds=None) for row in found.rows),
    )


def test_what_a_search_leaves(finished):
    found, tuned = read_widths(finished / "work"), read_finetunes(finished / "work").rows
    assert [row.name for row in found.rows] == [row.name for row in tuned] == ["rarts", "joint", "uniform"]
    for row, network in zip(found.rows, tuned, strict=True):
        assert row.macs / found.dense.macs == pytest.approx(0.6, abs=TOLERANCE)
        state = torch.load(finished / "work" / row.checkpoint, weights_only=True)["state_dict"]
        tensors = {key: value for key, value in state.items() if not key.endswith(("_mean", "_var", "_tracked"))}
        assert sum(map(torch.numel, tensors.values())) == row.parameters
        built = create_backbone("preresnet20", num_classes=10, in_channels=1, widths=row.widths)
        assert {k: v.shape for k, v in built.state_dict().items()} == {k: v.shape for k, v in state.items()}
        assert min(min(block) for stage in WidthPlan.parse(row.widths).stages for block in stage) >= 2
        assert network.widths == row.widths and 0 <= network.test["top1"] <= 100
        assert not (finished / "work" / "searches" / row.name / "search.pth").exists()
    rarts, joint, uniform = found.rows
    assert (rarts.steps, rarts.images) == (6, 6 * 4 * 8)  # 24 images a half in batches of 8, two epochs
    assert (joint.steps, joint.images) == (24, rarts.images), "at equal cost"
    assert (uniform.images, uniform.gamma, uniform.moved) == (0, None, None)
    assert rarts.shrink == pytest.approx(3.0) and rarts.gamma == pytest.approx(3.0 * 0.1 / (0.05 * 6))


def test_nothing_is_done_twice(finished, tmp_path, capsys):
    config = read_any_config(finished / "config.py")
    before = {p: p.stat().st_mtime_ns for p in (finished / "work").rglob("*.pth")}
    assert run_width_search(config, finished / "work", resume=True) == 0
    assert before == {p: p.stat().st_mtime_ns for p in (finished / "work").rglob("*.pth")}
    said = capsys.readouterr().out
    assert "as cut" in said and "with recalibrated statistics" in said and "192 images seen" in said
    with pytest.raises(UserInputError, match=r"holds a search already.*--resume"):
        run_width_search(config, finished / "work")


def test_the_report_says_each_row(finished, tmp_path):
    page = write_width_report(finished / "work", tmp_path / "report").read_text()
    for row, network in zip(read_widths(finished / "work").rows, read_finetunes(finished / "work").rows, strict=True):
        figures = (row.top1_pruned, row.top1_recalibrated, network.val["top1"], network.test["top1"])
        assert f"| {row.name} | {' | '.join(f'{value:.2f}' for value in figures)} |" in page
        assert f"| {row.name} | `{row.widths}` |" in page and f"{row.images:,} |" in page


@pytest.mark.parametrize("how", ["kill", "signal"])
def test_a_stopped_search_goes_on_to_the_same_bits(finished, tmp_path, monkeypatch, how):
    config, one = read_any_config(finished / "config.py"), WidthTraining._one

    def stop_in_joint(self, *batches):
        one(self, *batches)
        if self.step == 5 and self.steps == 24:
            if how == "kill":
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(WidthTraining, "_one", stop_in_joint)
    monkeypatch.setattr(width_run, "finetune", lambda run: 0)
    monkeypatch.setattr(width_run, "report_finetunes", lambda run: None)
    if how == "kill":
        with pytest.raises(KeyboardInterrupt):
            run_width_search(config, tmp_path / "work")
    else:
        assert run_width_search(config, tmp_path / "work") == 128 + signal.SIGTERM
    saved = torch.load(tmp_path / "work" / "searches" / "joint" / "search.pth", weights_only=True)
    assert saved["search"]["step"] == (4 if how == "kill" else 5)
    monkeypatch.setattr(WidthTraining, "_one", one)
    assert run_width_search(config, tmp_path / "work", resume=True) == 0
    whole, other = (results(folder) for folder in (finished / "work", tmp_path / "work"))
    for row, again in zip(whole.rows, other.rows, strict=True):
        assert replace(row, sha256="") == replace(again, sha256="")
        files = (folder / "work" / row.checkpoint for folder in (finished, tmp_path))
        states = (torch.load(file, weights_only=True)["state_dict"] for file in files)
        torch.testing.assert_close(*states, rtol=0, atol=0)


def test_gates_that_did_not_move_are_said_to_be_noise(tmp_path, capsys):
    still = {"method": "joint", "epochs": 1, "shrink": 0.0, "lr": 1e-6, "keep": {"channels": 0.5}}
    config = read_any_config(write_config(tmp_path / "config.py", width=still, beside=[], finetune=None))
    assert run_width_search(config, tmp_path / "work") == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "ranking is noise" in line]
    assert len(said) == 1 and "only 0.0 %" in said[0] and "raise shrink" in said[0]
    assert read_widths(tmp_path / "work").rows[0].channels == pytest.approx(0.5, abs=0.01)


def test_a_folder_belongs_to_its_settings(finished):
    text = (finished / "config.py").read_text()
    (finished / "other.py").write_text(text.replace("'macs': 0.6", "'macs': 0.7"))
    with pytest.raises(UserInputError, match=r"keep of rarts is .*0.6.* there and .*0.7.*choose another --work-dir"):
        run_width_search(read_any_config(finished / "other.py"), finished / "work", resume=True)


# ---- a card


@pytest.fixture(scope="module")
def half(once) -> Path:
    """The registered Share-EAN ResNet-38 at half of its MACs, searched on noise."""

    def fill(folder):
        options = noise_options(write_noise(folder / "cifar-100-python"))
        config = {"config": f"{ROOT}/configs/width/c100_resnet38_share_ean_se.py", "options": options}
        path = write_config(
            folder / "config.py",
            dense={**config, "weights": "card"},
            width={"method": "rarts", "epochs": 1, "keep": {"macs": 0.5}, "lr": 0.001},
            beside=[{"method": "random"}],
            finetune=config,
        )
        assert run_width_search(read_any_config(path), folder / "work") == 0

    return once("half", fill) / "work"


@pytest.fixture
def registered(half, cards):
    """Its card."""
    return register_width_search(half, NAME, licence="MIT")


def test_the_card_says_scheme_widths_and_how_they_were_found(registered, half):
    row, whole = read_widths(half).rows[0], get_card(WHOLE)
    assert get_card(NAME) == registered
    assert (registered.scheme, registered.attention, registered.sharing) == (whole.scheme, "se", "stage")
    assert str(registered.widths) == row.widths
    for part in ("method rarts", "macs=0.5", f"images seen {row.images}", WHOLE):
        assert part in registered.provenance.source
    assert registered.provenance.kind == "search" and whole.weights.sha256 in registered.provenance.note
    assert registered.parameters.count == row.parameters
    assert verify_backbone(NAME).ok
    *trained, counted = registered.measured
    assert counted.values["macs_billion"] * 1e9 == pytest.approx(
        row.macs - 256 * 100
    )  # a card's are without classifier
    assert {figures.data for figures in trained} == {"cifar100 val", "cifar100 test"}


def test_the_command_registers_the_one_that_is_asked_for(command, half):
    status, out, err = command("register", half, "--name", NAME, "--run", "random")
    assert (status, err) == (0, "") and "is registered" in out
    assert str(get_card(NAME).widths) == read_widths(half).rows[1].widths
    for more, said in ((("--run", "rarst"), "'rarts'"), (("--scheme", "1"), "--scheme cannot be given")):
        status, _, err = command("register", half, "--name", "resnet38_share_ean_se.other", *more)
        assert status == 2 and said in err and err.count("\n") == 1
    status, _, err = command("register", half, "--name", "resnet50.other")
    assert status == 2 and "the search is of resnet38" in err


def test_digits_are_no_rgb_images(finished, cards):
    with pytest.raises(UserInputError, match=r"'in_channels' is 1, expected 3"):
        register_width_search(finished / "work", "preresnet20.digits")


OPTIONS = [f"model.backbone.name={NAME}", "model.backbone.init=full"]


@pytest.mark.parametrize("config", ["shha_small_ean_se", "voc_small_ean_se"])
def test_the_name_works_in_configs_of_other_tasks(registered, config):
    found = load_config(config, OPTIONS)
    backbone = MODELS.build(found.model.backbone)
    assert backbone.card == registered and backbone.load_report.missing == ()
    features = backbone(torch.rand(1, 3, 64, 64))
    assert all(bool(feature.isfinite().all()) for feature in features)
    assert str(backbone.widths) == str(registered.widths)


def test_the_name_is_the_start_of_a_connection_search(registered, half, tmp_path):
    """Its supernet has the card's widths; it trains from scratch: SAMs that the scheme lacks have no weights."""
    config = load_config("supernet/c100_resnet38_full_share_se", OPTIONS[:1])
    config.merge_from_dict(noise_options(half.parent / "cifar-100-python"))
    model = MODELS.build(config.model)
    assert model.backbone.supernet and model.backbone.widths == registered.widths
    torch.save({"meta": {}, "state_dict": model.state_dict()}, tmp_path / "supernet.pth")
    problem = SupernetProblem(config, tmp_path / "supernet.pth", bn="running")
    found = problem.evaluate([registered.scheme])
    assert found[0].n == 20 and 0 <= found[0].accuracy <= 100
