"""From scores to channels: nested, never an empty site, shares met; and thresholds against brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
from width_nets import tiny

from backbones.errors import UserInputError
from backbones.sites import prune, sites_of
from backbones.widths import WidthPlan
from transfer.search.width.keep import Keep
from transfer.search.width.ranking import LEAST, TOLERANCE, Order, at_least, choose, cost_of, scaled

pytestmark = pytest.mark.slow


def drawn(net, seed=0):
    """Scores of sites that differ a hundredfold from each other."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.rand(site.channels, generator=generator) * 10 ** (-2 * (number % 2))
        for number, site in enumerate(sites_of(net))
    ]


def test_layer_ranking_does_not_see_the_scale_of_a_site():
    scores = drawn(tiny())
    for one, other in zip(scaled(scores, "layer"), scaled([score * 7 for score in scores], "layer"), strict=True):
        assert torch.allclose(one, other)
        assert one.square().mean().item() == pytest.approx(1)
    assert all(torch.equal(a.float(), b) for a, b in zip(scaled(scores, "global"), scores, strict=True))


def test_the_global_ranking_empties_sites_that_the_other_does_not():
    net = tiny()
    narrow, even = (
        choose(net, Order(scaled(drawn(net), rank), 0.0), Keep(channels=0.5), 8, []) for rank in ("global", "layer")
    )
    assert min(map(len, narrow)) == LEAST < min(map(len, even))
    assert sum(map(len, narrow)) == sum(map(len, even))


@pytest.mark.parametrize("min_keep", [0.0, 0.1, 0.5])
def test_every_site_keeps_its_least_and_more_channels_contain_fewer(min_keep):
    scores = drawn(tiny())
    order = Order(scores, min_keep)
    assert order.floor == sum(at_least(len(score), min_keep) for score in scores)
    before = [set() for _ in scores]
    for count in range(order.floor, order.total + 1, 7):
        kept = order.kept(count)
        assert sum(map(len, kept)) == count
        for site, (channels, score) in enumerate(zip(kept, scores, strict=True)):
            assert len(channels) >= at_least(len(score), min_keep) and list(channels) == sorted(set(channels))
            assert before[site] <= set(channels)
            before[site] = set(channels)
            best = torch.topk(score, len(channels)).indices.tolist()
            assert set(best) == set(channels), "within a site the greatest stay"


def test_what_stays_beyond_the_least_is_the_greatest_of_all():
    scores = [torch.tensor([0.1, 0.9, 0.8, 0.2]), torch.tensor([5.0, 0.3, 0.4, 0.05, 0.06])]
    order = Order(scores, 0.0)
    assert order.floor == 4
    assert [order.kept(count) for count in (5, 6)] == [((1, 2), (0, 1, 2)), ((1, 2, 3), (0, 1, 2))]


@pytest.mark.parametrize("kind", ["macs", "parameters"])
@pytest.mark.parametrize("share", [0.4, 0.75])
def test_a_share_of_the_cost_is_met(kind, share):
    net = tiny()
    scores = scaled(drawn(net), "layer")
    kept = choose(net, Order(scores), Keep(**{kind: share}), 8, scores)
    found, whole = cost_of(prune(net, kept), 8), cost_of(net, 8)
    assert getattr(found, kind) / getattr(whole, kind) == pytest.approx(share, abs=TOLERANCE)


def test_the_cost_is_the_one_of_the_network_built_at_these_widths():
    net = tiny()
    kept = choose(net, Order(scaled(drawn(net), "layer")), Keep(channels=0.5), 8, [])
    pruned = prune(net, kept)
    built = tiny(widths=pruned.widths)
    assert cost_of(pruned, 8) == cost_of(built, 8)
    assert cost_of(built, 8).parameters == sum(p.numel() for p in built.parameters())


def test_channels_above_a_threshold_stay():
    net, scores = tiny(), drawn(tiny())
    scores[0] = torch.zeros_like(scores[0])
    kept = choose(net, Order(scores), Keep(threshold=0.3), 8, scores)
    for channels, score in zip(kept, scores, strict=True):
        above = {place for place, value in enumerate(score.tolist()) if value > 0.3}
        assert above <= set(channels) and len(set(channels) - above) <= at_least(len(score), 0.1)
    assert len(kept[0]) == at_least(len(scores[0]), 0.1)


@pytest.mark.parametrize("keep", [Keep(channels=0.05), Keep(macs=0.1), Keep(parameters=0.05)])
def test_less_than_the_least_is_refused(keep):
    net = tiny()
    scores = scaled(drawn(net), "layer")
    with pytest.raises(UserInputError, match=rf"keep.{keep.kind}.*least that every site must keep.*min_keep"):
        choose(net, Order(scores, 0.5), keep, 8, scores)


@pytest.mark.parametrize(
    "given",
    [{}, {"macs": 0.5, "channels": 0.5}, {"macs": 0.0}, {"channels": 1.0}, {"parameters": -0.5}, {"threshold": -1}],
)
def test_what_says_no_share_is_refused(given):
    with pytest.raises(UserInputError, match="expected"):
        Keep(**given)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_uniform_scores_give_the_uniform_plan(share):
    from transfer.search.width.methods import get_width_method
    from transfer.search.width.space import Descent, Space

    net = tiny()
    scores = get_width_method("uniform")().scores(Space(net, Descent()), torch.Generator())
    plan = prune(net, choose(net, Order(scores, 0.0), Keep(channels=share), 8, scores)).widths
    expected = WidthPlan.uniform(share, net.arch.inner)
    widths = ([w for stage in p.stages for block in stage for w in block] for p in (plan, expected))
    assert all(abs(one - other) <= 1 for one, other in zip(*widths, strict=True))


def test_the_bisection_finds_what_a_walk_over_all_counts_finds():
    net = tiny("resnet20_basic", out_indices=(0,), num_classes=None)
    scores = scaled(drawn(net), "layer")
    order = Order(scores)
    whole = cost_of(net, 8).macs
    shares = {n: cost_of(prune(net, order.kept(n)), 8).macs / whole for n in range(order.floor, order.total + 1)}
    assert all(a <= b for a, b in itertools.pairwise(shares.values()))
    best = min(abs(share - 0.5) for share in shares.values())
    kept = choose(net, order, Keep(macs=0.5), 8, scores)
    assert abs(shares[sum(map(len, kept))] - 0.5) == pytest.approx(best)
