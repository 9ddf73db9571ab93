"""`tools/benchmark.py search`: which method finds what, where the optimum is known."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

import transfer.engine  # noqa: F401
from backbones.errors import UserInputError
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.analysis import compare_methods
from transfer.analysis.compare_methods import compare, regret_curve
from transfer.cli import run_command
from transfer.search.known_problems import PlantedLandscape, TableProblem, all_schemes
from transfer.search.log import LoggedProblem
from transfer.search.methods import SearchMethod, get_method, list_methods
from transfer.search.methods._ean_variants import VARIANTS
from transfer.search.objective import Reward
from transfer.search.problem import Evaluation
from transfer.search.session import Record, SearchResult
from transfer.search.supernet.evaluator import TrieEvaluator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DEPTHS = (2, 2, 2)


def tool(*argv):
    spec = importlib.util.spec_from_file_location("benchmark_tool", ROOT / "tools" / "benchmark.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return run_command(module.main, list(argv))


def tabulated(problem):
    """The table of all schemes of a small problem."""
    schemes = list(all_schemes(problem.depths))
    return TableProblem(dict(zip(schemes, problem.evaluate(schemes), strict=True)))


@pytest.fixture
def table(tmp_path):
    """All 64 schemes of six blocks; the accuracy counts agreements with 10.01.10, of which ten are worth a percent."""
    goal = np.array([1, 0, 0, 1, 1, 0])
    rows = {s: Evaluation(80 + float((np.array(s.bits) == goal).sum()) / 10, 1.0, 100) for s in all_schemes(DEPTHS)}
    TableProblem(rows).save(tmp_path / "table.json.gz")
    return tmp_path / "table.json.gz"


def test_the_command_prints_and_writes_the_regret_of_each_method(table, tmp_path, capsys):
    out = tmp_path / "out.json"
    names = ("ga", "surrogate", "ean:paper")
    argv = ("search", str(table), "--methods", *names, "--seeds", "3", "--budgets", "8", "64", "--out", str(out))
    assert tool(*argv) == 0
    rows = json.loads(out.read_text())["rows"]
    assert {row["name"] for row in rows} == {*names, "random"}
    by = {(row["name"], row["n"]): row["regret"] for row in rows}
    for name in (*names, "random"):
        assert by[name, 64] <= by[name, 8] + 1e-12
    # accuracy + 2 * sparsity: connecting where the goal does costs 1/3 and brings 0.2, so the optimum is all plain
    assert by["surrogate", 64] == pytest.approx(0, abs=1e-9)
    printed = capsys.readouterr().out
    assert "**surrogate**" in printed and printed.count("| ean:paper |") == 1


def test_every_method_takes_part_where_it_can():
    """Those that ask for evaluations, in each of their variants; those that need the supernet, in the second table."""
    asking = {name.partition(":")[0] for name in compare_methods.pick_methods()}
    needing = set(compare_methods.supernet_methods())
    assert asking | needing == set(list_methods()) - {"exhaustive"} and not asking & needing
    assert len([name for name in compare_methods.pick_methods() if name.partition(":")[0] == "ean"]) == len(VARIANTS)


def test_an_unfinished_table_and_wrong_names_are_refused(tmp_path, capsys):
    class Half:
        depths = DEPTHS

        def evaluate(self, schemes):
            return [Evaluation(50, 1, 10) for _ in schemes]

    with LoggedProblem(Half(), tmp_path / "half") as logged:
        logged.evaluate(list(all_schemes(DEPTHS))[:20])
    for argv, line in (
        ((str(tmp_path / "half"),), "20 of 64 schemes are evaluated"),
        ((str(tmp_path),), "expected the folder of an exhaustive search"),
        (("none.json.gz",), "no such file"),
        (("planted", "--methods", "gaa"), "Did you mean 'ga'"),
        (("planted", "--methods", "darts"), "does not ask for evaluations"),
        (("planted", "--seeds", "0"), "at least 1"),
    ):
        assert tool("search", *argv) == 2
        assert line in capsys.readouterr().err


def test_returned_schemes_are_judged_by_the_table_of_the_same_supernet(monkeypatch):
    torch.manual_seed(0)
    net = AttentionResNet("resnet20", attention="se", sharing="block", supernet=True, num_classes=4)
    batch = (torch.randn(8, 3, 8, 8), torch.randint(0, 4, (8,)))
    evaluator = TrieEvaluator(net, [batch])

    class Problem:
        def __init__(self):
            self.depths, self.supernet, self.loaders = net.arch.depths, net, ([batch], [batch])
            self.settings = {"supernet_sha256": "a" * 64}

        def evaluate(self, schemes):
            return evaluator.evaluate(schemes)

    monkeypatch.setattr(compare_methods, "supernet_methods", lambda: ["gm", "l1", "darts"])
    table = tabulated(Problem())
    table.settings = Problem().settings
    rows = compare_methods.regret_of_returned(Problem(), table, seeds=2)
    best = max(e.accuracy + 2 * s.sparsity for s, e in table.table.items())
    for row in rows:
        values = [ConnectionScheme.parse(text, net.arch.depths) for text in row["schemes"]]
        regrets = [best - table.table[s].accuracy - 2 * s.sparsity for s in values]
        assert row["regret"] == pytest.approx(np.mean(regrets))
    assert {row["name"]: row["passes"] > 0 for row in rows} == {"gm": False, "l1": False, "darts": True}
    with pytest.raises(UserInputError, match="another supernet"):
        compare_methods.regret_of_returned(Problem(), TableProblem(table.table, {"supernet_sha256": "b" * 64}), seeds=1)


# ---- regret


class Listed(SearchMethod):
    """Asks for given schemes, in order."""

    def __init__(self, schemes):
        super().__init__()
        self.schemes = schemes

    def run(self, session, generator):
        for scheme in self.schemes:
            session.score([scheme])


def test_regret_curve_by_hand():
    table = TableProblem(
        {ConnectionScheme.parse(s): Evaluation(a, 1.0, 1) for s, a in (("00", 50), ("01", 60), ("10", 58), ("11", 70))}
    )
    objective = Reward(lambda1=0.0)
    records = [Record(s, table.table[s], objective(table.table[s], s)) for s in all_schemes((2,))]
    result = SearchResult(records[0], (), tuple(records[:3]), 0.0)
    assert regret_curve(result, table, objective, (1, 2, 3, 9)) == [20, 10, 10, 10]


def test_regret_is_that_of_what_looks_best_not_of_what_is():
    landscape = PlantedLandscape((4, 4), seed=1, noise=5.0)
    schemes = list(all_schemes((4, 4)))[:40]
    result = Listed(schemes).search(landscape, 40, torch.Generator())
    looks_best = max(schemes, key=lambda s: Reward()(landscape.evaluate([s])[0], s))
    expected = landscape.optimum(Reward())[1] - landscape.truth(looks_best, Reward())
    assert regret_curve(result, landscape, Reward(), (40,)) == [pytest.approx(expected)]


def test_compare():
    table = tabulated(PlantedLandscape((4, 4), seed=2))
    methods = {"random": get_method("random")(), "exhaustive": get_method("exhaustive")()}
    rows = compare(table, methods, budgets=(4, 256), seeds=5)
    assert [(row.method, row.n) for row in rows] == [(m, n) for m in methods for n in (4, 256)]
    by = {(row.method, row.n): row for row in rows}
    assert by["exhaustive", 256].regret == 0
    assert by["random", 4].against_random == 1
    low, high = by["random", 4].ci95
    assert low <= by["random", 4].regret <= high and low < high
    assert by["exhaustive", 4].against_random == pytest.approx(by["exhaustive", 4].regret / by["random", 4].regret)
    json.dumps([asdict(row) for row in rows])


def test_the_default_method_leaves_random_search_behind():
    methods = {"random": get_method("random")(), "default": get_method()()}
    rows = compare(PlantedLandscape((6, 6), seed=3), methods, budgets=(64,), seeds=3)
    assert rows[1].against_random < 0.5
