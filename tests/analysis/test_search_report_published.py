"""Published figures beside measured ones: which rows belong together, and the latency of blocks."""

import hashlib
import json

import pytest
import search_files as files
from search_files import edit, run
from test_search_report import rows, sections

from backbones.integrity import log_line
from backbones.registry import get_card
from backbones.scheme import ConnectionScheme
from transfer.analysis.finished import SearchOutcome
from transfer.analysis.published import NETWORKS, TABLE1
from transfer.analysis.report.published import describe_verdict, lines_of
from transfer.analysis.report.search import write_report
from transfer.analysis.tickets import TimeRatio, certify
from transfer.measure.latency import LATENCY, Increment, LatencyTable, Timing

pytestmark = pytest.mark.slow

DEPTHS = (4, 4, 4)
FULL, EMPTY = ConnectionScheme.full(DEPTHS), ConnectionScheme.empty(DEPTHS)
FOUND = ["1110.0010.0010", "0000.0010.0010"]


def write_resnet38(folder, method="ean", sharing="stage", beta=0.5):
    """Turns a search's folder into one on ResNet-38, SE and CIFAR-100."""
    log = folder / "evaluations.jsonl"
    line = json.loads(log.read_text().splitlines()[0])
    del line["crc32"]
    lines = [log_line({**line, "scheme": scheme}) for scheme in FOUND]
    log.write_text("".join(lines))
    entries = [{"scheme": s, "value": 62.0} | {key: line[key] for key in ("accuracy", "loss", "n")} for s in FOUND]
    values = json.loads((folder / "search.json").read_text())
    edit(folder, arch="resnet38", data="cifar100", method=method, sharing=sharing, num_classes=100, order=FOUND,
         best=entries[0], candidates=entries, front=[], trace=[], hypervolume={},
         supernet=values["supernet"] | {"beta": beta},
         log_sha256=hashlib.sha256(log.read_bytes()).hexdigest())  # fmt: skip
    runs = [run(f"candidate {n}", scheme, 38.0 - n, sharing=sharing) for n, scheme in enumerate(FOUND, 1)]
    runs += [run("plain", EMPTY, 35.0, attention=None), run("full_sa", FULL, 37.5, sharing="block")]
    files.write_standalone(folder, [*runs, run("full_share", FULL, 37.0)], FOUND[0])


def shown(folder):
    """Cells by network."""
    return {row[0]: row[1:] for row in rows(sections(write_report(folder))["Published and measured"])}


def test_share_ean_stands_beside_the_nearest_rows(ean):
    folder, _ = ean
    write_resnet38(folder)
    time = {"mode": "eager", "increment_percent": 9.0, "ci95": [8, 10]}
    files.write_increment(folder, [{"mode": "eager", "name": "plain", "against": None, "increment_percent": None},
                                   {**time, "name": "candidate 1", "against": "plain"},
                                   {**time, "name": "full_sa", "against": "plain", "increment_percent": 30.0},
                                   {**time, "name": "candidate 1", "against": "full_sa", "increment_percent": -9.0,
                                    "ci95": [-10, -8]}])  # fmt: skip
    found = shown(folder)
    assert list(found) == [
        "plain", "full_sa", "full_share", "ean, candidate 1 (chosen)", "ean, candidate 2",
        *(f"EAN, beta {beta} (LTH4SA, Table I, one module per block)" for beta in (0.2, 0.5, 0.8)),
    ]  # fmt: skip
    assert found["plain"][1:8] == ["64.94", "0.43", "0.00", "-", "35.00", "34.00", "100"]
    assert found["full_sa"][1:4] == ["66.77", "0.47", "38.98"]
    assert found["full_sa"][8:] == ["473,892", "30.00", "8.00 to 10.00", "-"]
    assert found["full_share"][1:5] == ["-"] * 4
    chosen = found["ean, candidate 1 (chosen)"]
    assert chosen[1:5] == ["-"] * 4
    assert chosen[5:] == ["37.00", "36.00", "100", "440,208", "9.00", "8.00 to 10.00",
                          "undecided (by single figures: no)"]  # fmt: skip
    assert (
        found["EAN, beta 0.5 (LTH4SA, Table I, one module per block)"][1:]
        == ["66.90", "0.45", "26.52", "yes"] + ["-"] * 7
    )
    said = sections(write_report(folder))["Published and measured"]
    assert "100 iterations of `x.py`. Published ones" in said and "100 epochs, the rate along a cosine" in said
    assert "No figures were published for ean on resnet38 with one module per stage" in said


def test_a_full_sa_search_stands_beside_its_own_row(ean):
    folder, _ = ean
    write_resnet38(folder, method="ga", sharing="block", beta=0.8)
    found = shown(folder)
    assert found["ga, candidate 1 (chosen)"][1:5] == ["66.21", "0.46", "33.61", "no"]
    assert found["ga, candidate 2"][1:5] == ["-"] * 4
    assert [line.printed.beta for line in lines_of(SearchOutcome.read(folder)) if line.run is None] == [0.2, 0.5]
    assert "Time increments have not been measured" in sections(write_report(folder))["Published and measured"]


def test_without_published_figures_there_are_no_columns_for_them(ean):
    folder, values = ean
    files.write_standalone(folder, [run("candidate 1", values["best"]["scheme"], 60.0)], values["best"]["scheme"])
    said = sections(write_report(folder))["Published and measured"]
    assert "published" not in said.lower()
    assert rows(said)[0][2:5] == ["60.00", "59.00", "100"]


def test_the_cards_have_the_same_figures():
    names = {("resnet38", "Original"): "resnet38.cifar100", ("resnet38", "Full-SA"): "resnet38_full_sa_se.cifar100",
             ("resnet164", "EAN"): "resnet164_share_ean_se.cifar100",
             ("resnet164", "Full-Share"): "resnet164_full_share_se.cifar100",
             ("resnet164", "Full-SA"): "resnet164_full_sa_se.cifar100"}  # fmt: skip
    for row in NETWORKS:
        if (row.arch, row.network) in names:
            printed = get_card(names[row.arch, row.network]).published
            assert any(
                one.values.get("top1") == row.accuracy and one.values.get("time_increment_percent") == row.increment
                for one in printed
            ), row
    assert len(TABLE1) == 36
    assert sum(bool(row.ticket) for row in TABLE1) == 8
    assert [row.beta for row in TABLE1 if row.top5] == [0.5, 0.8]


@pytest.mark.parametrize(("accuracy", "said"), [(66.0, "yes"), (64.0, "no")])
def test_single_figures_are_judged_as_the_papers_do(accuracy, said):
    certificate = certify(
        ConnectionScheme.parse(FOUND[0]),
        time_ratio=TimeRatio(0.9, 0.85, 0.95),
        parameters=(440_208, 473_892),
        accuracies=[accuracy],
        full_accuracies=[65.0],
    )
    assert describe_verdict(certificate) == f"undecided (by single figures: {said})"
    assert describe_verdict(certify(ConnectionScheme.parse(FOUND[0]))) == "undecided"


def test_the_latency_of_blocks_and_the_error_of_their_sums(ean):
    folder, _ = ean
    full = ConnectionScheme.full((2, 2, 2))
    blocks = tuple(Increment(float(n), (n - 0.5, n + 0.5)) for n in range(1, 7))
    schemes = {full: Increment(20.0, (19.0, 21.0))}
    latency = LatencyTable({"arch": "resnet20"}, Timing(), 1.25, blocks, schemes, {})
    (folder / LATENCY).write_text(json.dumps(latency.as_dict()))
    front = [{"scheme": "10.00.00", "accuracy": 60.0, "cost": 1.0}]
    edit(folder, front=front, hypervolume={"value": 3.5, "accuracy": 55.0, "cost": 21.0, "of": "time increment (%)"})
    said = sections(write_report(folder))
    assert [row[1] for row in rows(said["Latency of blocks"])] == [f"{n:+.2f}" for n in range(1, 7)]
    assert "mean error of sums over 1 schemes: 1.00 points" in said["Latency of blocks"]
    assert "| `11.11.11` | 6 | +20.00 | +19.00 to +21.00 | +21.00 | -1.00 |" in said["Latency of blocks"]
    assert "the sum of the blocks' measured time increments" in said["Front"]
    assert "up to accuracy 55.00 (the least evaluated) and cost 21 (every block connected): 3.5." in said["Front"]
