"""Accuracy, parameters and time over connection ratios: against networks that are built one by one."""

import json

import numpy as np
import pytest
from PIL import Image
from search_files import DEPTHS

from backbones.scheme import ConnectionScheme
from transfer.analysis.finished import SearchOutcome
from transfer.analysis.report.standalone import count_parameters
from transfer.analysis.study.page import write_study
from transfer.analysis.study.ratios import parameters_of, quantities
from transfer.measure.latency import LATENCY, Increment, LatencyTable, Timing

pytestmark = pytest.mark.slow

TIMES = (0.5, 1.0, 1.5, 2.0, 0.25, 3.0)


@pytest.fixture
def timed(ean):
    """A finished search whose blocks were timed."""
    folder, _ = ean
    blocks = tuple(Increment(time, (time - 0.1, time + 0.1)) for time in TIMES)
    full = ConnectionScheme.full(DEPTHS)
    table = LatencyTable({"arch": "resnet20"}, Timing(), 1.0, blocks, {full: Increment(8.0, (7.9, 8.1))}, {})
    (folder / LATENCY).write_text(json.dumps(table.as_dict()))
    return folder


@pytest.mark.parametrize("sharing", ["stage", "block"])
def test_parameters_are_those_of_the_networks_themselves(timed, sharing):
    values = json.loads((timed / "search.json").read_text())
    (timed / "search.json").write_text(json.dumps({**values, "sharing": sharing}))
    outcome = SearchOutcome.read(timed)
    found = parameters_of(outcome, outcome.known)
    assert len(set(found.values())) > 3
    for scheme in list(outcome.known)[:12]:
        assert found[scheme] == count_parameters(outcome, scheme, "se", sharing)


def test_groups_hold_every_scheme_at_its_ratio(timed):
    outcome = SearchOutcome.read(timed)
    groups = quantities(outcome)["time increment (%)"]
    assert [int(group.label) for group in groups] == sorted({s.connected for s in outcome.known})
    for group in groups:
        times = [sum(t for t, bit in zip(TIMES, s.bits, strict=True) if bit)
                 for s in outcome.known if s.connected == int(group.label)]  # fmt: skip
        assert group.accuracies.tolist() == pytest.approx(sorted(times))


def test_the_study_has_a_figure_of_three_panels(timed, tmp_path, pictures):
    page = write_study(tmp_path / "study", searches=[timed])
    said = page.read_text().split("connection ratios (LTH4SA, Fig. 2)")[1]
    assert "time increment (%), greatest" in said and "parameters (M), mean" in said
    with Image.open(page.parent / "ratios_1.png") as image:
        assert image.width > 1500 and np.asarray(image.convert("L")).std() > 5


def test_without_measured_times_there_is_no_such_section(ean, tmp_path):
    assert "Fig. 2" not in write_study(tmp_path / "study", searches=[ean[0]]).read_text()
