"""The contract of search methods, over every method; and what is particular to some."""

import builtins
import itertools

import numpy as np
import pytest
import torch

from backbones.errors import RunError, UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.known_problems import PlantedLandscape, TableProblem, all_schemes
from transfer.search.methods import DEFAULT_METHOD, SearchMethod, get_method, list_methods
from transfer.search.methods._quadratic import Quadratic, QuadraticRegression
from transfer.search.objective import Reward, hypervolume, pareto_front
from transfer.search.problem import Evaluation
from transfer.search.session import Session

pytestmark = pytest.mark.slow

OPTIONAL = {"nsga2": "pymoo", "tpe": "optuna"}
DEPTHS = (3, 2, 3)


def asking_methods():
    return [name for name in list_methods() if not get_method(name).needs_supernet]


def method_or_skip(name, **args):
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    return get_method(name)(**args)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def table():
    schemes = list(all_schemes(DEPTHS))
    return TableProblem(dict(zip(schemes, PlantedLandscape(DEPTHS, seed=1).evaluate(schemes), strict=True)))


@pytest.mark.parametrize("name", asking_methods())
def test_contract(name, table):
    method = method_or_skip(name)
    global_state = torch.get_rng_state()
    result = method.search(table, 24, generator(7))
    assert torch.equal(torch.get_rng_state(), global_state)
    assert result.log == method_or_skip(name).search(table, 24, generator(7)).log
    schemes = [record.scheme for record in result.log]
    assert len(schemes) == len(set(schemes)) <= 24
    if len(schemes) < 24:  # it has come to its end, and a greater budget changes nothing
        assert method_or_skip(name).search(table, 240, generator(7)).log == result.log
    assert all(record.evaluation == table.table[record.scheme] for record in result.log)
    assert all(record.value == Reward()(record.evaluation, record.scheme) for record in result.log)
    values = sorted((record.value for record in result.log), reverse=True)
    assert [record.value for record in result.candidates] == values[:3]
    assert result.best == result.candidates[0]


@pytest.mark.parametrize("name", asking_methods())
def test_seeds_matter_where_anything_is_random(name, table):
    draws = [generator(seed) for seed in (1, 2)]
    before = draws[0].get_state()
    a, b = (method_or_skip(name).search(table, 16, draw).log for draw in draws)
    assert (a == b) == torch.equal(draws[0].get_state(), before)


@pytest.mark.parametrize("name", asking_methods())
@pytest.mark.parametrize("budget", [1, 2])
def test_smallest_budgets(name, budget, table):
    assert len(method_or_skip(name).search(table, budget, generator()).log) == budget


@pytest.mark.parametrize("budget", [0, -3, 1.5, True, None])
def test_no_budget_is_the_user_s_mistake(budget, table):
    with pytest.raises(UserInputError, match="budget="):
        get_method("random")().search(table, budget, generator())


@pytest.mark.parametrize("name", ["exhaustive", "random", "local_search", "surrogate", "evolution"])
def test_a_great_budget_finds_the_optimum(name, table):
    expected = max(Reward()(e, s) for s, e in table.table.items())
    result = get_method(name)().search(table, 2 ** sum(DEPTHS), generator())
    assert result.best.value == expected


def test_exhaustive_asks_for_every_scheme_once(table):
    result = get_method("exhaustive")().search(table, 10**9, generator())
    bits = [record.scheme.bits for record in result.log]
    assert bits == list(itertools.product((0, 1), repeat=8))


def test_the_objective_is_what_is_maximised(table):
    result = get_method("exhaustive")(objective=lambda e, s: -e.loss).search(table, 256, generator())
    assert result.best.evaluation.loss == min(e.loss for e in table.table.values())


def test_hsp_lists_every_nth_block_with_all_offsets():
    problem = PlantedLandscape((6, 6))
    log = get_method("hsp")().search(problem, 5, generator()).log
    assert [str(record.scheme) for record in log] == [
        "101010.101010",
        "010101.010101",
        "100100.100100",
        "010010.010010",
        "001001.001001",
    ]


def test_search_goes_on_for_free_with_known_schemes(table):
    class Repeating(SearchMethod):
        def run(self, session, generator):
            while True:
                session.score([ConnectionScheme.full(DEPTHS)])

    assert len(Repeating().search(table, 10, generator()).log) == 1  # and ends: it counts as converged


def test_a_batch_beyond_the_budget_is_evaluated_as_far_as_it_goes(table):
    class Greedy(SearchMethod):
        def run(self, session, generator):
            session.score(list(all_schemes(DEPTHS)))
            raise AssertionError("the session ends the method here")

    result = Greedy().search(table, 10, generator())
    assert [record.scheme for record in result.log] == list(all_schemes(DEPTHS))[:10]


STEPPING = [("ean", {"variant": "paper"}), ("ean", {"variant": "authors"}), ("enas", {"learning_rate": 0.05})]


@pytest.mark.parametrize(("name", "args"), STEPPING)
def test_steps_are_counted_whatever_they_draw(name, args):
    """T = 500 steps of 16 schemes: far more than 200 in a row without a new one, at which a search else ends."""
    problem = PlantedLandscape((2, 2))
    counted = get_method(name)(steps=500, **args).search(problem, 16, generator())
    until_converged = get_method(name)(**args).search(problem, 16, generator())
    assert [step["step"] for step in counted.trace] == list(range(500))
    seen, last_new = set(), 0
    for place, step in enumerate(counted.trace):
        if not seen.issuperset(step["schemes"]):
            seen, last_new = seen | set(step["schemes"]), place
    assert len(until_converged.trace) == last_new + 1 + 200 < 500
    assert until_converged.trace == counted.trace[: len(until_converged.trace)]


def test_the_budget_caps_the_steps():
    result = get_method("ean")(variant="paper", steps=300).search(PlantedLandscape((6, 6)), 5, generator())
    assert len(result.log) == 5 and len(result.trace) < 300


@pytest.mark.parametrize("name", ["ean", "enas"])
@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "many"])
def test_steps_that_are_none_are_refused(name, steps):
    with pytest.raises(UserInputError, match=r"steps=.*: expected a whole number of at least 1"):
        get_method(name)(steps=steps)


def test_get_method():
    assert get_method() is get_method(DEFAULT_METHOD)
    with pytest.raises(UserInputError, match="Did you mean 'evolution'"):
        get_method("evolutoin")
    with pytest.raises(UserInputError, match=r"variant='authors_'.*Did you mean 'authors'"):
        get_method("ean")(variant="authors_")
    with pytest.raises(UserInputError, match=r"beta=1\.5"):
        get_method("random")(beta=1.5)


@pytest.mark.parametrize(("name", "package"), OPTIONAL.items())
def test_a_missing_optional_package_is_named(name, package, table, monkeypatch):
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module.split(".")[0] == package:
            raise ImportError(f"No module named {module!r}")
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RunError, match=f"pip install {package}"):
        get_method(name)().search(table, 4, generator())


# ---- Pareto front


def test_front_and_hypervolume_agree_with_pymoo(table):
    pytest.importorskip("pymoo")
    from pymoo.indicators.hv import HV
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    found = list(table.table.items())
    front = pareto_front(found)
    points = np.array([(-e.accuracy, s.ratio) for s, e in found])
    first = NonDominatedSorting().do(points, only_non_dominated_front=True)
    assert sorted((-p.accuracy, p.cost) for p in front) == sorted(map(tuple, np.unique(points[first], axis=0)))
    expected = HV(ref_point=np.array([-60.0, 1.0]))(points)
    assert hypervolume(front, accuracy=60.0, cost=1.0) == pytest.approx(expected, rel=1e-12)


def test_nsga2_returns_the_front_of_what_it_evaluated(table):
    result = method_or_skip("nsga2", population=8).search(table, 60, generator())
    found = [(record.scheme, record.evaluation) for record in result.log]
    assert list(result.front) == pareto_front(found)
    everything = pareto_front(table.table.items())
    share = hypervolume(result.front, 60, 1) / hypervolume(everything, 60, 1)
    assert 0.8 < share <= 1


# ---- surrogate


def features(x):
    i, j = np.triu_indices(x.shape[1], 1)
    return np.concatenate((np.ones((len(x), 1)), x, x[:, i] * x[:, j]), axis=1)


@pytest.mark.parametrize("pairs", [False, True])
def test_posterior_mean_is_ridge_regression_on_explicit_features(pairs):
    draw = np.random.default_rng(0)
    x = draw.choice([-1.0, 1.0], (30, 7))
    y = x @ draw.standard_normal(7) + 2 * x[:, 0] * x[:, 3] + 5
    model = QuadraticRegression(x, y, pairs=pairs)
    if pairs:
        assert model.share > 0
    variances = np.concatenate(([1.0], np.full(7, (1 - model.share) / 7), np.full(21, model.share / 21)))
    design, target = features(x) * np.sqrt(variances), (y - y.mean()) / y.std()
    weights = np.linalg.solve(design.T @ design + model.noise * np.eye(29), design.T @ target) * np.sqrt(variances)
    new = draw.choice([-1.0, 1.0], (10, 7))
    mean = model.mean()
    np.testing.assert_allclose(mean(new) + weights[0], features(new) @ weights, atol=1e-8)


def test_posterior_samples_have_the_posterior_s_mean_and_covariance():
    draw = np.random.default_rng(1)
    x = draw.choice([-1.0, 1.0], (12, 4))
    y = x @ np.array([1.0, -0.5, 0.2, 0.0]) + x[:, 0] * x[:, 1] + 0.3 * draw.standard_normal(12)
    model = QuadraticRegression(x, y)
    variances = np.concatenate(([1.0], np.full(4, (1 - model.share) / 4), np.full(6, model.share / 6)))
    phi, prior = features(x), np.diag(variances)
    gain = prior @ phi.T @ np.linalg.inv(phi @ prior @ phi.T + model.noise * np.eye(12))
    covariance = model.scale**2 * (prior - gain @ phi @ prior)
    everything = np.array(list(itertools.product((-1.0, 1.0), repeat=4)))
    basis = features(everything)[:, 1:]  # a `Quadratic` leaves the constant out
    drawn = np.array([model.sample(draw)(everything) for _ in range(6000)])
    np.testing.assert_allclose(drawn.mean(0), model.mean()(everything), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), basis @ covariance[1:, 1:] @ basis.T, atol=0.06)


def test_climbing_ends_where_no_single_flip_improves():
    draw = np.random.default_rng(2)
    upper = np.triu(draw.standard_normal((6, 6)), 1)
    function = Quadratic(draw.standard_normal(6), upper + upper.T)
    ends = function.climb(np.array(list(itertools.product((-1.0, 1.0), repeat=6))))
    for end in ends:
        flips = end * np.where(np.eye(6, dtype=bool), -1, 1)
        assert (function(flips) <= function(end[None]) + 1e-9).all()
    everything = np.array(list(itertools.product((-1.0, 1.0), repeat=6)))
    direct = [x @ function.linear + x @ upper @ x for x in everything]
    np.testing.assert_allclose(function(everything), direct, atol=1e-12)
    assert function(ends).max() == pytest.approx(max(direct))


def test_evidence_sees_pairs_where_there_are_pairs():
    draw = np.random.default_rng(3)
    x = draw.choice([-1.0, 1.0], (120, 12))
    linear = x @ draw.standard_normal(12)
    assert QuadraticRegression(x, linear + 0.1 * draw.standard_normal(120)).share == 0
    assert QuadraticRegression(x, linear + 4 * x[:, 0] * x[:, 1] + 3 * x[:, 4] * x[:, 7]).share >= 0.5


# ---- problems


def test_a_session_cannot_spend_more_than_there_is():
    session = Session(PlantedLandscape((2, 2)), 100, Reward())
    assert session.budget == 16


def test_a_problem_may_be_anybody_s():
    class Formula:
        depths = (2, 3)

        def evaluate(self, schemes):
            return [Evaluation(accuracy=90.0 - s.connected, loss=0.1, n=1) for s in schemes]

    for name in ("evolution", "surrogate"):
        assert get_method(name)().search(Formula(), 32, generator()).best.scheme.connected == 0


def test_table_without_a_scheme_says_which(table):
    small = TableProblem(dict(list(table.table.items())[:5]))
    with pytest.raises(UserInputError, match=r"not in the table of 5 schemes"):
        small.evaluate([ConnectionScheme.full(DEPTHS)])
