"""What each method does to gates and weights, against formulas, autograd and brute force."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from width_nets import Blobs, Stack, batches, tiny

from backbones.errors import UserInputError
from backbones.sites import gated, prune, sites_of
from transfer.search.width.data import Stream, halves
from transfer.search.width.methods import get_width_method, list_width_methods
from transfer.search.width.methods.rvsm import hard_threshold, soft_threshold
from transfer.search.width.removal import folded, recalibrated, top1
from transfer.search.width.shrinking import gamma_of, moved_share, rate_of, shrink_of
from transfer.search.width.space import Descent, Space
from transfer.search.width.training import WidthTraining

pytestmark = pytest.mark.slow

TRAINED = [name for name in list_width_methods() if get_width_method(name)().gradients]
BATCH = 16


def training(name, *, steps=4, gamma=0.01, lr=0.02, net=None, seed=0, size=64, **args):
    method = get_width_method(name)(**args)
    space = Space(tiny() if net is None else net, Descent(lr=lr, gamma=gamma))
    data, stack = Blobs(size), Stack()
    if method.halves:
        streams = tuple(Stream(data, stack, BATCH, seed + n, part=part) for n, part in enumerate(halves(size, seed)))
    else:
        streams = (Stream(data, stack, BATCH, seed),) * 2
    return WidthTraining(method, space, streams, steps, rate_of("constant", lr, steps), seed)


# ---- where a gate belongs


def test_normalisation_divides_a_gate_in_front_of_it_out():
    """In training mode the loss hardly depends on a factor in front of batch normalisation."""
    net, (images, labels) = tiny("resnet20").train(), batches()[0]
    site = sites_of(net)[0]
    behind = torch.ones(site.channels, requires_grad=True)
    others = [torch.ones(other.channels) for other in sites_of(net)[1:]]
    with gated(net, [behind, *others]):
        (after,) = torch.autograd.grad(F.cross_entropy(net(images), labels), behind)
    front = torch.ones(site.channels, requires_grad=True)
    hook = site.producer.register_forward_hook(lambda module, inputs, output: output * front[:, None, None])
    (before,) = torch.autograd.grad(F.cross_entropy(net(images), labels), front)
    hook.remove()
    assert before.abs().mean() < 1e-4 * after.abs().mean()


# ---- thresholds


def brute_force(x, cost):
    """argmin over a fine grid of `cost(u) + (u - x)^2 / 2`."""
    grid = np.concatenate([np.linspace(-3, 3, 60_001), [0.0]])
    return grid[np.argmin(cost(grid) + (grid - x) ** 2 / 2)]


POINTS = np.random.default_rng(0).uniform(-2.5, 2.5, 40)


@pytest.mark.parametrize("gamma", [0.1, 0.7, 1.3])
def test_the_soft_threshold_is_the_argmin_with_the_l1_norm(gamma):
    expected = [brute_force(x, lambda u: gamma * np.abs(u)) for x in POINTS]
    np.testing.assert_allclose(soft_threshold(torch.tensor(POINTS), gamma).numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("gamma", [0.1, 0.7, 1.3])
def test_the_hard_threshold_is_the_argmin_with_the_l0_norm(gamma):
    expected = [brute_force(x, lambda u: gamma * (u != 0)) for x in POINTS]
    found = hard_threshold(torch.tensor(POINTS), (2 * gamma) ** 0.5).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize(("penalty", "cost"), [("l1", np.abs), ("l0", lambda u: (u != 0).astype(float))])
def test_rvsm_takes_both_strengths_into_account(penalty, cost):
    gamma, beta = 0.4, 0.9
    found = get_width_method("rvsm")(penalty=penalty, beta=beta).nearest(torch.tensor(POINTS), gamma)
    expected = [brute_force(x, lambda u: gamma / beta * cost(u)) for x in POINTS]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_rvsm_learns_which_gates_are_exactly_zero():
    search = training("rvsm", steps=60, gamma=0.05, lr=0.05, beta=0.5)
    search.run()
    kept = search.method.gates(search.space)
    zeros = sum(int((gate == 0).sum()) for gate in kept)
    assert 0 < zeros < sum(gate.numel() for gate in kept)


# ---- steps


def test_a_joint_step_is_the_one_written_out():
    search, gamma, lr = training("joint", steps=1, gamma=0.03, lr=0.05), 0.03, 0.05
    net = copy.deepcopy(search.space.net)
    gates = [torch.ones(site.channels, requires_grad=True) for site in sites_of(net)]
    (images, labels) = next(search.streams[0].batches(0, 1))
    with gated(net, gates):
        loss = F.cross_entropy(net(images), labels) + gamma * sum(gate.abs().sum() for gate in gates)
    loss.backward()
    search.run()
    for gate, found in zip(gates, search.space.gates, strict=True):
        assert torch.allclose(found, gate - lr * gate.grad, atol=1e-6)
    for before, after in zip(net.parameters(), search.space.net.parameters(), strict=True):
        assert torch.allclose(after, before - lr * (before.grad + 1e-4 * before), atol=1e-6)


def test_a_netslim_step_pulls_the_scales_inside_blocks_alone():
    with_penalty, without = (training("netslim", steps=1, gamma=gamma, lr=0.05) for gamma in (0.5, 0.0))
    with_penalty.run()
    without.run()
    inside = {id(site.norm.weight) for site in with_penalty.space.sites}
    pairs = zip(with_penalty.space.net.parameters(), without.space.net.parameters(), strict=True)
    for mine, other in pairs:
        pull = 0.05 * 0.5 if id(mine) in inside else 0.0
        assert torch.allclose(other - mine, torch.full_like(mine, pull), atol=1e-6)


def test_the_two_networks_of_rarts_share_their_gates_and_nothing_else():
    search = training("rarts", steps=3)
    search.run()
    net, second = search.space.networks
    assert not {id(p) for p in net.parameters()} & {id(p) for p in second.parameters()}
    assert any(not torch.equal(a, b) for a, b in zip(net.parameters(), second.parameters(), strict=True))
    assert all(not torch.equal(gate, torch.ones_like(gate)) for gate in search.space.gates)


def test_a_rarts_step_in_the_gates_is_the_lagrangians_gradient():
    search = training("rarts", steps=1, gamma=0.03, lr=0.05, lam=2.0, beta=0.5)
    space = search.space
    train, val = (next(stream.batches(0, 1)) for stream in search.streams)
    search.run()
    # At the new weights; gates of one, as the step found them. Statistics of the batch, so that buffers play no part.
    gates = [torch.ones_like(gate, requires_grad=True) for gate in space.gates]
    losses = []
    for net, (images, labels) in zip(space.networks, (val, train), strict=True):
        with gated(net, gates):
            losses.append(F.cross_entropy(net(images), labels))
    (losses[0] + 2.0 * losses[1] + 0.03 * sum(gate.abs().sum() for gate in gates)).backward()
    for gate, found in zip(gates, space.gates, strict=True):
        assert torch.allclose(found, 1 - 0.05 * gate.grad, atol=1e-6)


@pytest.mark.parametrize(("name", "args"), [*((name, {}) for name in TRAINED), ("darts", {"order": 2})])
def test_the_images_seen_are_counted(name, args):
    search = training(name, steps=3, **args)
    seen = 0

    def count(module, inputs):
        nonlocal seen
        seen += len(inputs[0])

    for net in search.space.networks:
        net.register_forward_pre_hook(count)
    search.run()
    assert search.space.images == seen == 3 * BATCH * search.method.gradients


@pytest.mark.parametrize("name", ["rarts", "darts"])
def test_halves_have_no_image_in_common(name):
    first, second = (set(stream.part.tolist()) for stream in training(name).streams)
    assert not first & second and len(first) == len(second) == 32


# ---- go on


@pytest.mark.parametrize(("name", "args"), [*((name, {}) for name in TRAINED), ("darts", {"order": 2})])
def test_a_search_that_goes_on_ends_bit_for_bit_as_one_that_was_not_stopped(name, args, tmp_path):
    whole = training(name, steps=6, **args)
    whole.run()
    part, file = training(name, steps=6, **args), tmp_path / "state.pth"
    part.run(stopped=lambda: part.step == 2, save=lambda: torch.save(part.state(), file))
    assert part.step == 2
    resumed = training(name, steps=6, net=tiny(seed=9), **args)
    resumed.resume(torch.load(file, weights_only=True))
    resumed.run()
    ends = (search.state() for search in (whole, resumed))
    one, other = ({**end, "optimizers": None} for end in ends)
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert whole.trace == resumed.trace and len(whole.trace) >= 2


def test_a_batch_is_a_function_of_its_step():
    stream = Stream(Blobs(), Stack(), BATCH, 3)
    whole = list(stream.batches(0, 9))
    for (a, la), (b, lb) in zip(whole[5:], stream.batches(5, 9), strict=True):
        assert torch.equal(a, b) and torch.equal(la, lb)
    first = [int(i) for step in range(4) for i in stream.indices(step)]
    assert sorted(first) == list(range(64)), "an epoch sees every image once"
    assert [int(i) for step in range(4, 8) for i in stream.indices(step)] != first
    assert {i.epoch for i in stream.indices(4)} == {1}


# ---- strength


@pytest.mark.parametrize("schedule", ["constant", "cosine", "steps"])
def test_the_penalty_alone_takes_the_shrink_off_a_gate(schedule):
    """SGD with momentum on `gamma * |a|`: what it has taken off, but for what momentum still holds at the end."""
    steps, lr, momentum, shrink = 4000, 0.1, 0.9, 0.7
    rate = rate_of(schedule, lr, steps)
    gamma = gamma_of(shrink, rate, steps, momentum)
    assert shrink_of(gamma, rate, steps, momentum) == pytest.approx(shrink)
    gate = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([gate], lr, momentum=momentum)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate(step)
        gate.grad = gamma * gate.detach().sign()
        optimizer.step()
    assert 1 - gate.item() == pytest.approx(shrink, rel=0.01)


def test_the_thesis_takes_about_three_off():
    assert shrink_of(1e-4, rate_of("constant", 0.1, 31_250), 31_250, 0.9) == pytest.approx(3.125)


def test_gates_that_stay_where_they_are_have_not_moved():
    before = [torch.ones(10), torch.full((10,), 0.5)]
    after = [torch.ones(10) * 1.1, torch.full((10,), 0.5)]
    after[1][:3] = 0.2
    assert moved_share(before, before) == 0
    assert moved_share(before, after) == pytest.approx(3 / 20)


# ---- removal


def test_folding_and_cutting_gates_of_zero_changes_nothing():
    net = tiny().double().eval()
    gates = [torch.rand(site.channels, dtype=torch.float64) + 0.5 for site in sites_of(net)]
    kept = []
    for gate in gates:
        gate[::3] = 0
        kept.append(torch.nonzero(gate).flatten().tolist())
    images = batches()[0][0].double()
    with torch.no_grad(), gated(net, gates):
        expected = net(images)
    with torch.no_grad():
        found = prune(folded(net, gates), kept)(images)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_recalibrated_statistics_are_those_of_the_images():
    net = tiny()
    found = recalibrated(net, batches())
    maps = [net.conv1(images) for images, _ in batches()]
    norm = found.layer1[0].bn1
    means = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    variances = torch.stack([m.var((0, 2, 3), unbiased=True) for m in maps]).mean(0)
    torch.testing.assert_close(norm.running_mean, means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variances, rtol=1e-4, atol=1e-5)
    assert not torch.equal(net.layer1[0].bn1.running_mean, norm.running_mean), "the network itself is left alone"


def test_top1_is_the_share_of_correct_images():
    net, found = tiny().eval(), batches()
    with torch.no_grad():
        correct = sum(int((net(images).argmax(1) == labels).sum()) for images, labels in found)
    assert top1(net, found) == pytest.approx(100 * correct / 64)


def test_a_search_keeps_what_it_needs():
    """Half of a network's channels copy the others' inputs with no way to the output: they are the ones that go."""
    net = tiny(seed=1)
    with torch.no_grad():
        for site in sites_of(net):
            site.consumer.weight[:, ::2] = 0
    search = training("joint", steps=40, gamma=0.1, lr=0.05, net=net)
    search.run()
    share = [float(gate[1::2].mean() > gate[::2].mean()) for gate in search.method.scores(search.space, None)]
    assert sum(share) >= 0.7 * len(share)


@pytest.mark.parametrize(
    ("name", "args"),
    [("darts", {"order": 3}), ("rvsm", {"penalty": "l2"}), ("rvsm", {"beta": 0.0}), ("rarst", {})],
)
def test_wrong_arguments_are_named(name, args):
    with pytest.raises(UserInputError, match=r"expected|rarts"):
        get_width_method(name)(**args)
