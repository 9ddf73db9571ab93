"""The report of a search: what the page says, its pictures, what is missing, and what is refused."""

import json
import re

import numpy as np
import pytest
import search_files as files
from PIL import Image
from scipy import stats
from search_files import EMPTY, FULL, edit, run

from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.analysis import figures
from transfer.analysis.finished import SearchOutcome
from transfer.analysis.report.search import write_report
from transfer.analysis.report.standalone import ticket_of
from transfer.analysis.tickets import by_connection_ratio, read_trace
from transfer.search.log import LOG_NAME

pytestmark = pytest.mark.slow


def sections(path):
    """The page's sections by title."""
    parts = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(section):
    """The cells of a section's first table, without its head."""
    lines = next(part for part in section.split("\n\n") if part.lstrip("\n").startswith("|")).strip().splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def check_png(path):
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert 600 <= image.width <= 2000 and 400 <= image.height <= 1000
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert path.stat().st_size < 300_000


# ---- the page


def test_a_search_alone_makes_a_report(ean):
    folder, values = ean
    page = write_report(folder)
    assert page == folder / "report/report.md"
    said = sections(page)
    assert list(said) == [
        "What was searched",
        "Best schemes",
        "Accuracy over evaluations",
        "Connection scores",
        "Accuracy over connection ratios",
        "Convergence of the controller",
        "Stand-alone trainings",
        "Ticket",
    ]
    facts = dict(rows(said["What was searched"]))
    assert facts["method"] == "ean"
    assert facts["network"] == "resnet20, 6 blocks (2.2.2)"
    assert facts["attention"] == "se (reduction 16), one module per stage"
    assert facts["log's sha256"] == values["log_sha256"]
    assert facts["supernet's sha256"] == files.SUPERNET
    best = rows(said["Best schemes"])
    assert [row[1] for row in best] == [entry["scheme"] for entry in values["candidates"]]
    assert [row[0] for row in best] == ["best", "", ""]
    assert f"{len(values['order'])} distinct schemes" in said["Best schemes"]
    assert "No stand-alone training" in said["Stand-alone trainings"]
    assert "No figures yet for: time, accuracy." in said["Ticket"]


def test_every_picture_of_the_page_is_there_and_no_other(ean, pictures):
    page = write_report(ean[0])
    linked = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())
    assert sorted(linked) == ["p_bar.png", "progress.png", "ratios.png", "scores.png"]
    assert sorted(path.name for path in page.parent.iterdir()) == sorted([*linked, "report.md"])
    for name in linked:
        check_png(page.parent / name)


def test_the_page_counts_what_the_log_holds(ean):
    folder, values = ean
    log = [json.loads(line) for line in (folder / LOG_NAME).read_text().splitlines()]
    accuracy = {line["scheme"]: line["accuracy"] for line in log}
    said = sections(write_report(folder))
    asked = [accuracy[scheme] for scheme in values["order"]]
    place = 1 + int(np.argmax(asked))
    assert f"{max(asked):.2f} %, reached at evaluation {place} of {len(asked)}" in said["Accuracy over evaluations"]
    full = accuracy[str(FULL)]
    for count, schemes, least, mean, greatest, share in rows(said["Accuracy over connection ratios"]):
        group = np.array([a for scheme, a in accuracy.items() if scheme.count("1") == int(count)])
        expected = [len(group), group.min(), group.mean(), group.max()]
        assert [int(schemes), float(least), float(mean), float(greatest)] == pytest.approx(expected, abs=0.006)
        assert float(share.rstrip("% ")) == pytest.approx(100 * (group >= full).mean(), abs=0.51)
    inner = [scheme for scheme in accuracy if 0 < scheme.count("1") < 6]
    tickets = [[int(bit) for bit in s.replace(".", "")] for s in inner if accuracy[s] >= full]
    slope = stats.linregress(range(1, 7), np.mean(tickets, axis=0)).slope
    first = rows(said["Connection scores"])[0]
    assert int(first[1]) == len(tickets)
    assert float(first[2]) == pytest.approx(slope, abs=6e-5)


def test_the_schemes_over_steps_are_those_of_the_trace(ean):
    folder, values = ean
    said = sections(write_report(folder))["Convergence of the controller"]
    by_step = {entry["step"]: entry for entry in values["trace"]}
    shown = rows(said)
    assert len(shown) == min(28, len(by_step))
    for step, scheme, sparsity, p_bar in shown:
        entry = by_step[int(step)]
        assert scheme.replace(".", "") == entry["schemes"][0]
        assert float(sparsity) == pytest.approx(entry["schemes"][0].count("0") / 6, abs=0.006)
        assert float(p_bar) == pytest.approx(entry["p_bar"], abs=0.006)


def test_a_multi_objective_search_has_a_front(tmp_path, pictures):
    pytest.importorskip("pymoo")
    values = files.write_search(tmp_path, "nsga2")
    said = sections(write_report(tmp_path))
    assert [row[0] for row in rows(said["Front"])] == [point["scheme"] for point in values["front"]]
    check_png(tmp_path / "report/front.png")


def test_a_front_is_reported_with_its_hypervolume(ean):
    folder, _ = ean
    front = [("10.00.00", 70.0, 1.0), ("11.00.00", 72.0, 3.0)]
    edit(folder, front=[{"scheme": s, "accuracy": a, "cost": c} for s, a, c in front])
    said = sections(write_report(folder))["Front"]
    log = [json.loads(line)["accuracy"] for line in (folder / LOG_NAME).read_text().splitlines()[2:]]
    worst = min(log)  # the first two lines, all and no connections, were not asked for by the search
    assert f"{2 * (70.0 - worst):.4g}." in said.split("\n\n")[1]
    assert "what the search was given" in said


def test_a_whole_table_tells_the_rank_of_the_best(tmp_path):
    values = files.write_search(tmp_path, "exhaustive", budget=64)
    said = sections(write_report(tmp_path))
    log = [json.loads(line) for line in (tmp_path / LOG_NAME).read_text().splitlines()]
    rank = 1 + sum(line["accuracy"] > values["best"]["accuracy"] for line in log)
    assert f"has place {rank}; among the top 5 %: {'yes' if rank <= 3 else 'no'}." in said["Best schemes"]
    assert "Convergence of the controller" not in said


def test_few_evaluations_are_not_made_into_sets(tmp_path):
    files.write_search(tmp_path, "random", budget=5)
    page = write_report(tmp_path)
    assert "Only 5 schemes were evaluated" in sections(page)["Connection scores"]
    assert not (page.parent / "scores.png").exists()


def test_without_the_two_ends_sets_go_by_rank(tmp_path):
    files.write_search(tmp_path, "random", budget=20)
    log = (tmp_path / LOG_NAME).read_text()
    assert str(FULL) not in log or str(EMPTY) not in log
    said = sections(write_report(tmp_path))["Connection scores"]
    assert "the log lacks one of these two schemes" in said
    assert [row[:2] for row in rows(said)] == [["best 25%", "5"], ["worst 25%", "5"]]


# ---- stand-alone trainings, correlation, ticket


def trained(folder, values, accuracies=(60.0, 60.5, 60.2)):
    schemes = [entry["scheme"] for entry in values["candidates"]]
    runs = [run(f"candidate {n}", s, a) for n, (s, a) in enumerate(zip(schemes, accuracies, strict=True), 1)]
    runs.append(run("plain", EMPTY, 58.0, attention=None, sharing="stage"))
    runs.append(run("full_sa", FULL, 60.1, sharing="block"))
    runs.append(run("full_share", FULL, 60.2))
    files.write_standalone(folder, runs, schemes[1])
    return runs, schemes


def parameters(**kind):
    net = AttentionResNet("resnet20", num_classes=10, **kind)
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_table_of_trainings(ean):
    folder, values = ean
    runs, schemes = trained(folder, values)
    said = sections(write_report(folder))["Stand-alone trainings"]
    shown = {row[0]: row for row in rows(said)}
    assert list(shown) == [entry["name"] for entry in runs]
    kinds = {
        "candidate 1": dict(attention="se", scheme=schemes[0]),
        "plain": {},
        "full_sa": dict(attention="se", sharing="block"),
        "full_share": dict(attention="se"),
    }
    for name, kind in kinds.items():
        assert int(shown[name][3].replace(",", "")) == parameters(**kind)
    assert shown["full_sa"][8] == "-"  # its modules are not the supernet's
    assert shown["plain"][8] != "-" and shown["full_share"][8] != "-"
    assert f"Chosen by validation accuracy: `{schemes[1]}`" in said


def test_the_correlation_is_that_of_the_points(ean, pictures):
    folder, values = ean
    runs, _ = trained(folder, values)
    page = write_report(folder)
    accuracy = {s: e.accuracy for s, e in SearchOutcome.read(folder).known.items()}
    pairs = [(accuracy[ConnectionScheme.parse(r["scheme"])], r["test"]["top1"]) for r in runs if r["name"] != "full_sa"]
    pearson, spearman = stats.pearsonr(*zip(*pairs, strict=True)), stats.spearmanr(*zip(*pairs, strict=True))
    low, high = pearson.confidence_interval()
    line = next(line for line in page.read_text().splitlines() if line.startswith("- test"))
    assert f"5 schemes, Pearson {pearson.statistic:.2f} (95 % interval {low:.2f} to {high:.2f})" in line
    assert f"Spearman {spearman.statistic:.2f} (" in line
    assert "Pearson 0.71 over 42 schemes" in page.read_text()
    check_png(page.parent / "correlation.png")


def test_seeds_of_a_scheme_are_one_point_and_other_lengths_none(ean):
    folder, values = ean
    schemes = [entry["scheme"] for entry in values["candidates"]]
    runs = [run("a", schemes[0], 60.0), run("b", schemes[0], 62.0, seed=1), run("c", schemes[1], 59.0)]
    files.write_standalone(folder, [*runs, run("short", schemes[2], 40.0, max_iters=10)], schemes[0])
    said = sections(write_report(folder))["Stand-alone trainings"]
    assert "- test: 2 schemes have both figures, a correlation needs 3." in said
    assert "Not all runs have the same number of iterations" in said
    assert not (folder / "report/correlation.png").exists()


def test_equal_accuracies_leave_the_correlation_undefined(ean):
    folder, values = ean
    files.write_standalone(folder, [run("x", e["scheme"], 60.0) for e in values["candidates"]], None)
    said = sections(write_report(folder))["Stand-alone trainings"]
    assert "- test: correlation is not defined" in said
    assert "No candidate has been chosen yet." in said


def test_the_ticket_of_all_figures(ean):
    folder, values = ean
    _, schemes = trained(folder, values)
    runs = [run(f"s{n}", schemes[1], 61.0 + 0.1 * n, seed=n) for n in range(3)]
    runs += [run("full_sa", FULL, 60.0 + 0.1 * n, sharing="block", seed=n) for n in range(3)]
    files.write_standalone(folder, runs, schemes[1])
    deployed = {"name": schemes[1], "against": "full_sa", "mode": "deployed", "increment_percent": 9.0, "ci95": [8, 10]}
    eager = {"name": schemes[1], "against": "full_sa", "mode": "eager", "increment_percent": -5.0, "ci95": [-6, -4]}
    files.write_increment(folder, [deployed, {**eager, "against": "plain", "increment_percent": 99}, eager])
    certificate = ticket_of(SearchOutcome.read(folder))
    assert certificate.verdict == "holds"
    time, counted, accuracy = (condition.numbers for condition in certificate.conditions)
    assert time["ratio"] == pytest.approx(0.95)
    assert counted["parameters"] == parameters(attention="se", scheme=schemes[1])
    assert counted["reference"] == parameters(attention="se", sharing="block")
    assert accuracy["accuracies"] == [61.0, 61.1, 61.2]
    said = sections(write_report(folder))["Ticket"]
    assert str(certificate) in said
    assert "No figures yet" not in said


def test_single_runs_are_judged_by_the_papers_rule_beside(ean):
    folder, values = ean
    trained(folder, values)
    said = sections(write_report(folder))["Ticket"]
    assert "the spread over seeds is unknown: 1 seed against 1 seed" in said
    assert "By the papers' rule, which compares single runs, condition 3 holds." in said
    assert "No figures yet for: time." in said


def test_seed_and_duration_may_be_unknown(ean):
    folder, values = ean
    runs = [run("candidate 1", values["candidates"][0]["scheme"], 60.0) | {"seed": None, "seconds": None}]
    files.write_standalone(folder, runs, runs[0]["scheme"])
    (row,) = rows(sections(write_report(folder))["Stand-alone trainings"])
    assert (row[4], row[9]) == ("-", "-")


def test_the_plain_network_can_be_what_was_chosen(ean):
    folder, _ = ean
    runs = [run("candidate 1", EMPTY, 60.5, attention=None), run("full_sa", FULL, 60.0, sharing="block")]
    files.write_standalone(folder, runs, EMPTY)
    assert ticket_of(SearchOutcome.read(folder)).conditions[2].numbers["difference"] == pytest.approx(0.5)


def test_a_reference_of_another_length_does_not_count(ean):
    folder, values = ean
    scheme = values["candidates"][0]["scheme"]
    runs = [run("candidate 1", scheme, 60.0), run("full_sa", FULL, 60.1, sharing="block", max_iters=50)]
    files.write_standalone(folder, runs, scheme)
    assert ticket_of(SearchOutcome.read(folder)).conditions[2].text == "no stand-alone accuracy of Full-SA"


def test_dia_is_compared_with_full_share(ean):
    folder, _ = ean
    edit(folder, attention="dia", attention_args={})
    certificate = ticket_of(SearchOutcome.read(folder))
    assert certificate.against == "Full-Share"
    assert certificate.conditions[1].numbers["reference"] == parameters(attention="dia")


# ---- pictures of what a small search does not have


def test_violins_of_many_and_of_equal_accuracies(tmp_path, pictures):
    depths, generator = (18, 18, 18), np.random.default_rng(0)
    found = []
    for beta in (0.05, 0.2, 0.5, 0.8, 1.0):
        bits = (generator.random((40, 54)) < beta).astype(int)
        found += [(ConnectionScheme.from_bits(row, depths), 70 + beta) for row in bits]
    found += [(scheme, accuracy + generator.normal()) for scheme, accuracy in found[:80]]
    figures.draw_violins(tmp_path / "x.png", by_connection_ratio(found), full=75.8)
    check_png(tmp_path / "x.png")


def test_two_searches_in_one_p_bar_picture(tmp_path, pictures):
    slow = read_trace([{"step": n, "p_bar": 0.5 + n / 300} for n in range(100)], (2, 2))
    fast = read_trace([{"step": n, "p_bar": min(1.0, 0.5 + n / 60)} for n in range(100)], (2, 2))
    figures.draw_p_bar(tmp_path / "x.png", {"ean": slow, "enas": fast})
    check_png(tmp_path / "x.png")
