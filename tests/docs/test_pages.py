"""docs/zoo.md and docs/papers.md: what the commands write from files of the repository, and what stands in them."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from backbones.errors import UserInputError
from backbones.registry import get_card
from transfer.analysis import papers, zoo
from transfer.analysis.published import TABLES
from transfer.analysis.results import EAGER, Results
from transfer.engine.config_check import load_config, parse_options
from transfer.pipeline.config import read_search_config

ROOT = Path(__file__).resolve().parents[2]
ZOO, PAPERS = ((ROOT / page).read_text(encoding="utf-8") for page in (zoo.PAGE, papers.PAGE))


def rows(page, first):
    """Rows whose first cell holds `first`, as dicts by the head of their table, notes taken off."""
    found = []
    for block in page.split("\n\n"):
        lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        if block.startswith("| "):
            found += [dict(zip(lines[0], line, strict=True)) for line in lines[2:] if first in line[0]]
    return [{head: re.sub(r"\[\^\d+\]", "", cell) for head, cell in row.items()} for row in found]


# ---- as the commands write them


@pytest.mark.parametrize(
    ("write", "page"), [(zoo.write_zoo, ZOO), (papers.write_papers, PAPERS)], ids=["zoo", "papers"]
)
def test_the_command_writes_the_page_again_byte_for_byte(write, page, tmp_path):
    assert write(ROOT, tmp_path / "page.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("page", [ZOO, PAPERS], ids=["zoo", "papers"])
def test_every_note_is_used_and_explained_and_every_link_leads_to_a_file(page):
    assert set(re.findall(r"\[\^(\d+)\](?!:)", page)) == set(re.findall(r"^\[\^(\d+)\]:", page, re.MULTILINE))
    for target in re.findall(r"\]\((\.\.[^)]+)\)", page):
        assert (ROOT / "docs" / target).is_file(), target
    for record in re.findall(r"`(results/[^`]+)`", page):
        assert (ROOT / record).exists(), record


def test_without_a_checkout_there_is_nothing_to_read(tmp_path):
    with pytest.raises(UserInputError, match="run this in a checkout"):
        zoo.write_zoo(tmp_path)


# ---- the zoo


@pytest.mark.parametrize("name", ["resnet50_share_ean_sge.imagenet", "resnet38_share_ean_se.c100_6ep"])
def test_a_row_says_what_the_cards_file_says(name):
    card = tomllib.loads((ROOT / f"backbones/cards/{name}.toml").read_text())
    network, figures = rows(ZOO, name)
    scheme = card["network"]["scheme"]
    assert network["scheme"] == scheme.replace("1", "■").replace("0", "□").replace(".", " ")
    assert network["connected"] == f"{scheme.count('1')}/{len(scheme.replace('.', ''))}"
    assert network["parameters"] == f"{card['parameters']['count']:,}"
    (counted,) = [entry["macs_billion"] for entry in card["measured"] if "macs_billion" in entry]
    assert network["MACs"] == f"{counted:.3f} G"
    size = card.get("weights", {}).get("bytes")
    assert network["weights"] == (f"yes, {size:,} bytes" if size else "no")
    test = [entry["top1"] for entry in card["measured"] if entry["data"] == "cifar100 test"]
    printed = [entry["top1"] for entry in card.get("published", ()) if "top1" in entry][:1]
    assert figures.get("measured: top-1 (%)", "") == "".join(f"{value:.2f}" for value in test)
    assert figures.get("published: top-1 (%)", "") == "".join(f"{value:.2f}" for value in printed)


def test_every_card_has_a_row_under_its_architecture():
    for path in (ROOT / "backbones/cards").glob("*.toml"):
        section = ZOO.split(f"## {get_card(path.stem).arch}\n")[1].split("\n## ")[0]
        assert f"[{path.stem}](../backbones/cards/{path.name})" in section


def test_measured_figures_are_those_of_the_records():
    (_, figures) = rows(ZOO, "resnet38_share_ean_se.standin")
    runs = [
        json.loads((ROOT / f"results/counting/shha_small_ean_se_seed{n}/metrics.json").read_text()) for n in range(3)
    ]
    mae, mse = (sum(run["metrics"][name] for run in runs) / 3 for name in ("mae", "mse"))
    assert figures["measured: MAE / MSE, ShanghaiTech A"] == f"{mae:.1f} / {mse:.1f}"
    timed = json.loads((ROOT / "results/speed/increment_resnet50.json").read_text())["rows"]
    (row,) = [r for r in timed if (r["name"], r["mode"]) == ("resnet50_share_ean_sge.imagenet", "deployed")]
    (_, figures) = rows(ZOO, "resnet50_share_ean_sge.imagenet")
    low, high = row["ci95"]
    assert figures["measured: time, deployed (%)"] == f"{row['increment_percent']:+.1f} ({low:.1f} to {high:.1f})"


def test_the_time_of_a_searched_network_is_taken_over_the_plain_one_only():
    (found,) = Results(ROOT).times(get_card("resnet38_share_ean_se.c100_6ep"), EAGER)
    assert found.text.startswith("+5.9 ")


def test_configs_are_found_through_their_bases(tmp_path):
    (tmp_path / "base.py").write_text('model = dict(backbone=dict(name="a.x"))\n')
    (tmp_path / "middle.py").write_text('_base_ = ["mmseg::x.py", "base.py"]\nseed = 1\n')
    (tmp_path / "own.py").write_text('_base_ = "middle.py"\nmodel = dict(backbone=dict(name="b.x"))\n')
    found = zoo.configs_by_backbone(tmp_path, {"a.x", "b.x"})
    assert found == {"a.x": ["base", "middle"], "b.x": ["own"]}


# ---- the papers' tables


def test_tables_and_cards_were_copied_alike():
    """The same figures were copied twice, into cards and into tables: neither holds a slip."""
    compared = 0
    for table in TABLES:
        for cell in table.cells:
            card = get_card(cell.card) if cell.card else None
            if card is None or card.provenance.kind == "stand-in":
                continue
            entries = [entry.values for entry in card.published if entry.data == table.data]
            for name in set(cell.values) & {"top1", "mae", "mse", "miou", "macc", "aacc", "parameters_million"}:
                assert cell.values[name] in [values[name] for values in entries if name in values], (cell, name)
                compared += 1
            for name in set(cell.values) & {"time_increment_percent", "time_increment_percent_ean"}:
                printed = [v["time_increment_percent"] for v in entries if "time_increment_percent" in v]
                assert cell.values[name] in printed, (cell, name)
                compared += 1
    assert compared > 100


def test_ours_is_empty_or_says_how_it_was_run():
    checked = 0
    for block in PAPERS.split("\n\n"):
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        if not block.startswith("| "):
            continue
        for line in lines[2:]:
            for words, cell in zip(lines[0], line, strict=True):
                if words.startswith("ours") and "parameters" not in words and cell:
                    assert re.search(r"\[\^\d+\]$", cell), line
                    checked += 1
                assert not (words.startswith("published") and "to" in cell), "an interval is measured"
    assert checked > 10


def test_a_stand_in_never_passes_for_the_published_network():
    for row in rows(PAPERS, "Share-EAN-SE"):
        if "standin" in row["backbone"]:
            assert row.get("ours: MAE / MSE", "") == "" and row.get("ours: top-1 (%)", "") == ""
    noted = [line for line in PAPERS.splitlines() if "standin`" in line and line.startswith("| ")]
    assert noted and all(re.match(r"\| Share-EAN-SE\[\^\d+\]", line) for line in noted)


def commands():
    return sorted({papers.command(cell) for table in papers.tables() for cell in table.cells if cell.config})


@pytest.mark.slow
def test_every_command_names_configs_and_options_that_there_are():
    for text in commands():
        _, tool, config, *options = shlex.split(text)
        parsed = parse_options(options[1:])
        if tool == "tools/train.py":
            assert load_config(ROOT / config, options[1:]).model
        else:
            read = read_search_config(ROOT / config, parsed)
            assert read.search.name == parsed.get("search.method", "ean")
            read.search.build(read.search.objective.build(None))
            load_config(read.file(read.supernet.config))
