"""Wrong input to width searches: one line, status 2, nothing left behind."""

from __future__ import annotations

import runpy

import pytest
from width_files import ROOT, SHORT, write_config

from backbones.errors import UserInputError
from backbones.registry import create_backbone
from backbones.widths import WidthPlan
from transfer.cli import run_command

pytestmark = pytest.mark.slow
pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

INNER = ((((16, 16),) * 2), ((32, 32),) * 2, ((64, 64),) * 2)


@pytest.fixture
def search(tmp_path, capsys):
    """Runs tools/search.py on a changed config; returns status and the error's line."""
    main = runpy.run_path(str(ROOT / "tools" / "search.py"))["main"]

    def run(*argv, **changes):
        path = write_config(tmp_path / "config.py", **changes)
        capsys.readouterr()
        status = run_command(main, [str(path), "--work-dir", str(tmp_path / "work"), *argv])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == (status != 0)
        return status, lines[0] if lines else ""

    return run


WRONG = [
    ({"width__keep": {"macs": 1.5}}, "'keep.macs' is 1.5, expected a share above 0 and below 1"),
    ({"width__keep": {"channels": 0}}, "'keep.channels' is 0.0, expected a share above 0 and below 1"),
    ({"width__keep": {}}, "nothing is given, expected one of channels, macs, parameters, threshold"),
    ({"width__keep": {"macs": 0.5, "channels": 0.5}}, "channels, macs is given"),
    ({"width__gamma": -1e-4}, "'gamma' is -0.0001, expected a number of at least 0"),
    ({"width__shrink": -3.0}, "'shrink' is -3.0, expected a number of at least 0"),
    ({"width__min_keep": 1.0}, "'min_keep' is 1.0, expected a share"),
    ({"width__method": "rarst"}, "Did you mean 'rarts'"),
    ({"width__args": {"lamb": 1.0}}, "width.args has no key 'lamb', expected lam, beta"),
    ({"width__rank": "local"}, "'rank' is 'local', expected one of 'layer', 'global'"),
    ({"width__seeds": 0}, "'seeds' is unknown"),
    ({"width__equal_cost": True}, "the first search sets the cost"),
    ({"beside": [{"method": "rarts"}]}, "two searches are called 'rarts'"),
    ({"beside": [{"method": "random", "equal_cost": True}]}, "trains nothing, so it has no equal_cost"),
    ({"beside": [{"method": "l1", "start": "scratch"}]}, "it needs start='dense'"),
    ({"beside": [{"method": "joint", "name": "../x"}]}, "it names a folder"),
    ({"dense__checkpoint": "gone.pth"}, "gone.pth, no such file"),
    ({"dense__weights": "card"}, "has no weights of its own"),
    ({"finetune__distill": {"temperature": 0.0}}, "'finetune.distill.temperature' is 0.0, expected a number above 0"),
    ({"dense__options": {**SHORT, "model.backbone.widths": "8x8*2.16x16*2"}}, "it is one of another architecture"),
    ({"dense__options": {**SHORT, "model.backbone.widths": "0x8*2.16x16*2.32x32*2"}}, "computes nothing"),
    ({"finetune__options": {**SHORT, "model.num_classes": 7}}, "model.num_classes=7"),
]


@pytest.mark.parametrize(("changes", "line"), WRONG, ids=[line for _, line in WRONG])
def test_it_gets_one_line(search, tmp_path, changes, line):
    status, said = search(**changes)
    assert status == 2 and line in said
    assert not (tmp_path / "work").exists()


def test_other_engines_are_refused(search):
    status, said = search("--engine", "ray")
    assert status == 2 and "--engine ray: widths are searched in one process" in said


def test_less_than_the_least_that_sites_keep(search):
    small = {"method": "uniform", "keep": {"macs": 0.1}, "min_keep": 0.9}
    status, said = search(width=small, beside=[], finetune=None)
    assert status == 2 and "the least that every site must keep is" in said


def test_pruned_widths_have_no_trunk():
    with pytest.raises(UserInputError, match=r"init='trunk'.*full widths"):
        create_backbone("preresnet20", init="trunk", widths="8x8*2.16x16*2.32x32*2")


@pytest.mark.parametrize("ratio", [0.0, -0.5, 1.5])
def test_a_ratio_out_of_range(ratio):
    with pytest.raises(UserInputError, match="expected a number above 0, up to 1"):
        WidthPlan.uniform(ratio, INNER)
