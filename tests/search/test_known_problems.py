"""Tables and the planted landscape: brute force, round trips, regret by hand."""

import gzip
import json

import numpy as np
import pytest
import torch

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.known_problems import PlantedLandscape, TableProblem, all_schemes
from transfer.search.log import LoggedProblem
from transfer.search.methods import get_method
from transfer.search.objective import BlockCost, Reward, TimeReward
from transfer.search.problem import Evaluation

pytestmark = pytest.mark.slow


def tabulated(problem):
    """The table of all schemes of a small problem."""
    schemes = list(all_schemes(problem.depths))
    return TableProblem(dict(zip(schemes, problem.evaluate(schemes), strict=True)))


@pytest.mark.parametrize("depths", [(1,), (2,), (3, 1), (4, 4), (3, 4, 2)])
@pytest.mark.parametrize("objective", [Reward(), Reward(lambda1=0.0), Reward(lambda1=-3.0, lambda2=0.5)])
def test_planted_optimum_is_the_best_of_all(depths, objective):
    for seed in range(3):
        landscape = PlantedLandscape(depths, seed)
        scheme, value = landscape.optimum(objective)
        values = {s: landscape.truth(s, objective) for s in all_schemes(depths)}
        assert value == pytest.approx(max(values.values()), abs=1e-12)
        assert values[scheme] == value


def test_planted_formula_by_hand():
    landscape = PlantedLandscape((3, 3), seed=4)
    scheme = ConnectionScheme.parse("101.001")
    x = [1, -1, 1, -1, -1, 1]
    total = 70 + sum(h * a for h, a in zip(landscape.main, x, strict=True))
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    total += sum(landscape.interactions[i, j] * x[i] * x[j] for i, j in pairs)
    assert landscape.clean(scheme) == pytest.approx(total)
    assert all((landscape.interactions[i, j] != 0) == (j - i <= 3) for i, j in pairs)


def test_planted_spread_noise_and_share_of_pairs():
    landscape = PlantedLandscape((5, 5), seed=7, spread=1.5, noise=0.3, pairs=0.4)
    schemes = list(all_schemes((5, 5)))
    clean = np.array([landscape.clean(s) for s in schemes])
    assert clean.std() == pytest.approx(1.5)
    x = 2.0 * np.array([s.bits for s in schemes]) - 1
    fitted = x @ np.linalg.lstsq(x, clean - 70, rcond=None)[0]
    assert 1 - fitted.var() / clean.var() == pytest.approx(0.4)
    noise = np.array([e.accuracy for e in landscape.evaluate(schemes)]) - clean
    assert noise.std() == pytest.approx(0.3, rel=0.1)
    assert abs(noise.mean()) < 0.03
    assert landscape.evaluate(schemes) == PlantedLandscape((5, 5), seed=7, spread=1.5, noise=0.3).evaluate(schemes)


def test_planted_optimum_of_54_blocks_is_found_block_by_block_and_no_flip_improves_it(monkeypatch):
    gain, asked = PlantedLandscape._gain, []
    monkeypatch.setattr(PlantedLandscape, "_gain", lambda *args: (asked.append(args), gain(*args))[1])
    landscape = PlantedLandscape()
    scheme, value = landscape.optimum(Reward())
    assert len(asked) <= 54 * 2 ** (3 + 1), "a block adds one bit to each state, and a state is the last three"
    bits = np.array(scheme.bits)
    for position in range(54):
        flipped = bits.copy()
        flipped[position] ^= 1
        assert landscape.truth(ConnectionScheme.from_bits(flipped.tolist(), (18, 18, 18)), Reward()) < value


def test_planted_optimum_of_another_objective_is_not_known():
    with pytest.raises(UserInputError, match="planted optimum"):
        PlantedLandscape().optimum(lambda evaluation, scheme: 0.0)


def test_table_round_trip(tmp_path):
    table = tabulated(PlantedLandscape((3, 3)))
    table.settings = {"bn": "running"}
    table.save(tmp_path / "a.json.gz")
    table.save(tmp_path / "b.json.gz")
    again = TableProblem.load(tmp_path / "a.json.gz")
    assert (again.table, again.settings, again.depths) == (table.table, table.settings, (3, 3))
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    assert json.loads(gzip.decompress((tmp_path / "a.json.gz").read_bytes()))["schemes"]["000.000"][2] == 10_000


def test_table_of_a_log(tmp_path):
    problem = tabulated(PlantedLandscape((2, 2)))
    problem.settings = {"supernet_sha256": "f00"}
    with LoggedProblem(problem, tmp_path) as logged:
        get_method("exhaustive")().search(logged, 16, torch.Generator())
    table = TableProblem.from_log(tmp_path)
    assert table.table == problem.table
    assert table.settings["supernet_sha256"] == "f00"


@pytest.mark.parametrize("content", ["", "plain", "[]", '{"depths": [2]}'])
def test_what_is_no_table_is_refused(tmp_path, content):
    packed = gzip.compress(content.encode()) if content[:1] in ("[", "{") else content.encode()
    (tmp_path / "t.json.gz").write_bytes(packed)
    with pytest.raises(UserInputError, match=r"t\.json\.gz: no table of schemes"):
        TableProblem.load(tmp_path / "t.json.gz")


def test_missing_and_empty_tables_are_refused(tmp_path):
    with pytest.raises(UserInputError, match="no such file"):
        TableProblem.load(tmp_path / "none.json.gz")
    with pytest.raises(UserInputError, match="holds none"):
        TableProblem({})
    with pytest.raises(UserInputError, match="stages"):
        TableProblem({ConnectionScheme.parse(s): Evaluation(1, 1, 1) for s in ("10.1", "101")})


def test_time_takes_the_place_of_sparsity():
    costs, scheme = (1.0, 2.0, 4.0), ConnectionScheme.parse("10.1")
    cost = BlockCost(costs)
    assert cost(scheme) == 5.0
    assert TimeReward(costs)(Evaluation(60.0, 1.0, 10), scheme) == pytest.approx(60 + 2 * 2 / 7)
    with pytest.raises(UserInputError, match="cost of 3 blocks, expected 2"):
        cost(ConnectionScheme.parse("10"))


def test_rewards_by_hand():
    evaluation, scheme = Evaluation(60.0, 1.5, 10), ConnectionScheme.parse("100.1")
    assert Reward()(evaluation, scheme) == pytest.approx(60 + 2 * 0.5)
    assert Reward(lambda1=4, lambda2=0.5, loss_weight=10)(evaluation, scheme) == pytest.approx(2 + 30 - 15)
