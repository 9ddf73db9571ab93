"""Measured time as an objective: the table, its additivity, the reward, and searches that use it."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from backbones.errors import UserInputError
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.measure import stopwatch, timed_models, timing
from transfer.measure.latency import LatencyTable
from transfer.measure.stopwatch import measure_latency, time_networks
from transfer.measure.timing import Timing
from transfer.search.objective import Reward, TimeReward, cost_of, hypervolume, pareto_front
from transfer.search.problem import Evaluation

pytestmark = pytest.mark.slow

DEPTHS, BLOCKS = (2, 2, 2), 6
COSTS = np.array([3.0, 5.0, 1.0, 2.0, 8.0, 4.0])
"""Percent of the plain network's time that each block adds."""
NETWORK = {"arch": "resnet20", "attention": "se", "attention_args": {"reduction": 4}, "sharing": "stage"}
FULL = ConnectionScheme.full(DEPTHS)


class FakeTime:
    """A clock that each forward sets forward: 1 s plain, COSTS more with its blocks, and `pair` a pair of them."""

    def __init__(self, monkeypatch, pair=0.0, load=None):
        self.now, self.pair, self.load = 0.0, pair, load or (lambda: 1.0)
        self.runs = []
        monkeypatch.setitem(timing.CLOCKS, "wall", lambda: self.now)
        monkeypatch.setattr(AttentionResNet, "forward", lambda net, x: self.run(net, x))

    def run(self, net, x):
        bits = np.array(net.scheme.bits)
        count = bits.sum()
        self.runs.append((str(net.scheme), tuple(x.shape)))
        self.now += self.load() * (1 + (COSTS @ bits + self.pair * count * (count - 1) / 2) / 100)


def supernet():
    return AttentionResNet(**NETWORK, supernet=True, num_classes=10)


@pytest.fixture
def table(monkeypatch):
    """Of exact times with an interaction of 0.5 % a pair."""
    FakeTime(monkeypatch, pair=0.5)
    return measure_latency(supernet(), (3, 8, 8), NETWORK, Timing(batch=2, rounds=3))


def test_blocks_get_their_own_increment_over_the_plain_network(table):
    assert table.per_block == pytest.approx(COSTS)
    for block, cost in zip(table.blocks, COSTS, strict=True):
        assert block.ci95 == pytest.approx((cost, cost))
    assert table.ms_per_image == pytest.approx(500)


def test_the_error_of_sums_is_the_interaction(table):
    assert FULL in table.schemes and len(table.schemes) == 1 + stopwatch.RANDOM_SCHEMES
    errors = []
    for scheme, increment in table.schemes.items():
        n = scheme.connected
        assert increment.percent == pytest.approx(COSTS @ np.array(scheme.bits) + 0.5 * n * (n - 1) / 2)
        assert table.error(scheme) == pytest.approx(0.5 * n * (n - 1) / 2)
        errors.append(0.5 * n * (n - 1) / 2)
    assert table.mean_error == pytest.approx(np.mean(errors))
    assert f"mean error of sums over {len(errors)} schemes: {np.mean(errors):.2f} points" in str(table)
    assert "all 6 blocks connected take +30.50 %" in str(table) and "their sum is +23.00 %" in str(table)


def test_load_on_the_machine_widens_intervals_and_moves_nothing(monkeypatch):
    generator = np.random.default_rng(0)
    FakeTime(monkeypatch, load=lambda: 1 + 0.02 * generator.standard_normal())
    noisy = measure_latency(supernet(), (3, 8, 8), NETWORK, Timing(batch=1, rounds=200))
    for block, cost in zip(noisy.blocks, COSTS, strict=True):
        assert block.ci95[0] < block.percent < block.ci95[1]
        assert block.percent == pytest.approx(cost, abs=1.0)
    # a median of 200 ratios, each with the noise of two times: its standard error is known
    width = 2 * stats.norm.ppf(0.975) * np.sqrt(np.pi / 2) * 100 * 0.02 * np.sqrt(2 / 200)
    assert np.mean([block.ci95[1] - block.ci95[0] for block in noisy.blocks]) == pytest.approx(width, rel=0.3)


def test_schemes_take_turns_on_one_network_at_the_given_size(monkeypatch):
    fake = FakeTime(monkeypatch)
    net = supernet()
    before = net.scheme
    measure_latency(net, (3, 8, 8), NETWORK, Timing(batch=2, rounds=3))
    assert net.scheme == before
    assert {shape for _, shape in fake.runs} == {(2, 3, 8, 8)}
    schemes, plain = [scheme for scheme, _ in fake.runs], str(ConnectionScheme.empty(DEPTHS))
    each = 2 * len(set(schemes) - {plain})
    assert len(schemes) == each * (2 + 3)  # two rounds to warm up
    for number in range(5):
        turn = schemes[number * each : (number + 1) * each]
        assert turn[number % 2 :: 2] == [plain] * (each // 2), "each scheme has a plain run beside it"
        others = turn[1 - number % 2 :: 2]
        assert len(set(others)) == each // 2 and others == schemes[1:each:2][:: 1 if number % 2 == 0 else -1]


def test_slow_changes_of_the_machine_fall_out(monkeypatch):
    steps = iter(range(10**6))
    FakeTime(monkeypatch, load=lambda: 1.001 ** next(steps))  # 0.1 % slower with each run
    found = measure_latency(supernet(), (3, 8, 8), NETWORK, Timing(batch=2, rounds=4))
    assert found.per_block == pytest.approx(COSTS, abs=0.01)


@pytest.mark.parametrize("attention", ["se", "dia"])
@pytest.mark.parametrize("sharing", ["stage", "block"])
def test_real_networks_can_be_timed(attention, sharing):
    net = AttentionResNet("resnet20", attention=attention, sharing=sharing, supernet=True, in_channels=1, num_classes=3)
    found = measure_latency(net, (1, 8, 8), {}, Timing(batch=2, rounds=2, clock="cpu"))
    assert len(found.blocks) == BLOCKS and found.ms_per_image > 0
    assert found.network == {"size": [1, 8, 8]} and found.machine["threads"] == torch.get_num_threads()


def test_a_table_is_kept_as_json(table, tmp_path):
    path = tmp_path / "latency.json"
    path.write_text(json.dumps(table.as_dict()))
    again = LatencyTable.read(path)
    assert again == table
    again.check_network({**NETWORK, "size": [3, 8, 8]}, path)
    for key, value in (("arch", "resnet38"), ("sharing", "block"), ("size", [3, 32, 32])):
        with pytest.raises(UserInputError, match=rf"latency.json: times of another network: {key} is"):
            again.check_network({**NETWORK, key: value}, path)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda v: v.pop("blocks"), "key 'blocks' is missing"),
        (lambda v: v.update(format=2), "'format' is 2, expected 1"),
        (
            lambda v: v["blocks"][0].update(increment_percent=float("nan")),
            "increment_percent' is nan, expected a finite number",
        ),
        (lambda v: v["blocks"][0].update(ci95=[1]), "is .1., expected a list of 2"),
        (lambda v: v["additivity"]["schemes"][0].update(scheme="2"), "expected 0 and 1"),
        (lambda v: v["timing"].update(rounds=0), "expected a whole number"),
    ],
)
def test_what_is_no_table_is_refused(table, tmp_path, spoil, line):
    values, path = json.loads(json.dumps(table.as_dict())), tmp_path / "x.json"
    spoil(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserInputError, match=line) as caught:
        LatencyTable.read(path)
    assert str(path) in str(caught.value)
    with pytest.raises(UserInputError, match="no such file"):
        LatencyTable.read(tmp_path / "none.json")


@pytest.mark.parametrize("bad", [{"batch": 0}, {"rounds": 2.5}, {"rounds": True}, {"clock": "sun"}, {"batch": "3"}])
def test_timings_that_there_are_not(bad):
    with pytest.raises(UserInputError, match=rf"timing.{next(iter(bad))}="):
        Timing(**bad)


# ---- trained networks


def test_networks_are_held_against_each_other(monkeypatch):
    FakeTime(monkeypatch)
    builders = {
        "plain": lambda: AttentionResNet("resnet20", in_channels=1, num_classes=3),
        "mine": lambda: AttentionResNet("resnet20", attention="se", scheme="10.01.11", in_channels=1, num_classes=3),
        "full_sa": lambda: AttentionResNet("resnet20", attention="se", sharing="block", in_channels=1, num_classes=3),
    }
    pairs = [("plain", None), ("mine", "plain"), ("mine", "full_sa")]
    monkeypatch.setattr(timed_models, "settle", lambda net, images: net.eval())
    rows = time_networks(builders, pairs, (1, 8, 8), Timing(batch=4, rounds=3))
    assert [(row["name"], row["against"]) for row in rows] == pairs
    increment = COSTS @ [1, 0, 0, 1, 1, 1]
    assert rows[0]["increment_percent"] is None and rows[0]["ms_per_image"] == pytest.approx(250)
    assert rows[1]["increment_percent"] == pytest.approx(increment)
    ratio = (1 + increment / 100) / (1 + COSTS.sum() / 100)
    assert rows[2]["increment_percent"] == pytest.approx(100 * (ratio - 1))
    assert rows[2]["ci95"] == pytest.approx([100 * (ratio - 1)] * 2)
    counted = sum(p.numel() for p in builders["mine"]().parameters())
    assert rows[1]["parameters"] == counted and (rows[1]["batch"], rows[1]["size"], rows[1]["mode"]) == (4, 8, "eager")


def test_real_networks_are_settled_and_timed():
    builders = {"a": lambda: AttentionResNet("resnet20"), "b": lambda: AttentionResNet("resnet20", attention="sge")}
    (row,) = time_networks(builders, [("b", "a")], (3, 16, 16), Timing(2, 3, "cpu"), memory_format=torch.channels_last)
    assert row["ci95"][0] <= row["increment_percent"] <= row["ci95"][1] and row["memory_format"] == "channels_last"


# ---- objective


EVALUATION = Evaluation(accuracy=70.0, loss=1.5, n=100)


def test_the_reward_of_time_is_that_of_sparsity_where_blocks_cost_the_same():
    time, sparsity = TimeReward((2.5,) * BLOCKS, 3.0, 0.5, 0.25), Reward(3.0, 0.5, 0.25)
    for bits in range(2**BLOCKS):
        scheme = ConnectionScheme.parse(f"{bits:06b}", DEPTHS)
        assert time(EVALUATION, scheme) == pytest.approx(sparsity(EVALUATION, scheme))


def test_the_reward_of_time_is_linear_in_the_increment():
    reward = TimeReward(tuple(COSTS))
    plain, full = ConnectionScheme.empty(DEPTHS), FULL
    assert reward(EVALUATION, plain) == pytest.approx(72.0) and reward(EVALUATION, full) == pytest.approx(70.0)
    dear, cheap = (ConnectionScheme.parse(text) for text in ("00.00.10", "00.10.00"))
    assert reward(EVALUATION, cheap) - reward(EVALUATION, dear) == pytest.approx(2 * (8 - 1) / 23)


@pytest.mark.parametrize("costs", [(1.0, -2.0), (0.0, 0.0), (float("nan"), 1.0)])
def test_increments_must_add_up_to_something(costs):
    with pytest.raises(UserInputError, match="add up to"):
        TimeReward(costs)


def test_the_front_and_its_hypervolume_against_pymoo():
    hv = pytest.importorskip("pymoo.indicators.hv").HV
    generator = np.random.default_rng(1)
    schemes = [ConnectionScheme.parse(f"{bits:06b}", DEPTHS) for bits in range(64)]
    found = [(s, Evaluation(float(a), 1.0, 1)) for s, a in zip(schemes, generator.uniform(60, 70, 64), strict=True)]
    cost, name = cost_of(TimeReward(tuple(COSTS)))
    front = pareto_front(found, cost)
    least, most = min(e.accuracy for _, e in found), cost(FULL)
    points = np.array([(-e.accuracy, COSTS @ np.array(s.bits)) for s, e in found])
    assert hypervolume(front, least, most) == pytest.approx(hv(ref_point=np.array([-least, most]))(points))
    assert (name, cost_of(Reward())[1]) == ("time increment (%)", "connection ratio")
    beaten = [
        any((points[j] <= points[i]).all() and (points[j] < points[i]).any() for j in range(64)) for i in range(64)
    ]
    assert {p.scheme for p in front} == {s for s, lost in zip(schemes, beaten, strict=True) if not lost}
