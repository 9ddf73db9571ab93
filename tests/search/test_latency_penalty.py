"""The latency penalty of DARTS, MiLeNAS and RARTS: against all schemes of a planted table, and its slope by hand."""

import itertools

import pytest
import torch
from tiny_supernet import TinyProblem
from torch.optim import SGD

from backbones.errors import UserInputError
from transfer.search.methods import get_method
from transfer.search.methods._gradient import Relaxation
from transfer.search.objective import TimeReward

pytestmark = pytest.mark.slow

GRADIENT_METHODS = ["darts", "milenas", "rarts"]
METHODS_OF_ALL_KINDS = [("darts", {}), ("darts", {"order": 2}), ("milenas", {}), ("rarts", {"lam": 2.0})]
LATENCIES = (0.9, 0.1, 0.5, 2.0, 0.3, 1.1, 0.7, 1.6, 0.2)
BENEFITS = (0.4, 0.3, 0.6, 0.5, 0.1, 0.2, 0.9, 0.8, 0.7)


def planted_search(name, args, gamma, steps=30):
    """Soft connections after steps on a planted loss, `-benefits @ p`; the weights are out of it."""
    method = get_method(name)(objective=TimeReward(LATENCIES), alpha_lr=0.1, gamma=gamma, **args)
    relaxation = Relaxation(TinyProblem().supernet, torch.Generator().manual_seed(0))
    with torch.no_grad():
        relaxation.alphas.zero_()
    stepper, benefits = method.begin(relaxation), torch.tensor(BENEFITS)
    for _ in range(steps):
        stepper.step(
            lambda: relaxation.train_net.conv1.weight.square().sum(),
            lambda: relaxation.net.conv1.weight.square().sum() - benefits @ relaxation.probabilities,
        )
    return relaxation.probabilities.detach()


def cheapest(gamma):
    """By trying all schemes: the one of the least planted loss and latency."""
    return min(
        itertools.product((0, 1), repeat=len(LATENCIES)),
        key=lambda bits: sum(bit * (gamma * t - b) for bit, t, b in zip(bits, LATENCIES, BENEFITS, strict=True)),
    )


@pytest.mark.parametrize(("name", "args"), METHODS_OF_ALL_KINDS)
def test_expected_latency_falls_with_gamma_and_the_scheme_is_the_best_of_all(name, args):
    expected = []
    for gamma in (0.0, 0.3, 0.6, 1.0, 2.0, 5.0):
        p = planted_search(name, args, gamma)
        assert tuple((p > 0.5).int().tolist()) == cheapest(gamma)
        expected.append(float(p @ torch.tensor(LATENCIES)))
    assert all(after < before for before, after in itertools.pairwise(expected))


@pytest.mark.parametrize(("name", "args"), METHODS_OF_ALL_KINDS)
def test_the_architecture_s_gradient_has_that_of_the_latency(name, args):
    steps = []
    for gamma in (0.0, 0.25):
        method = get_method(name)(objective=TimeReward(LATENCIES), gamma=gamma, **args)
        method.alpha_optimizer = lambda relaxation: SGD([relaxation.alphas], 1.0)
        relaxation = Relaxation(TinyProblem().supernet.double(), torch.Generator().manual_seed(0))
        relaxation.alphas = relaxation.alphas.detach().double().requires_grad_(True)
        p, before = relaxation.probabilities.detach(), relaxation.alphas.detach().clone()
        images, labels = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double(), torch.arange(4)
        method.begin(relaxation).step(*relaxation.losses((images, labels), (images, labels)))
        steps.append(before - relaxation.alphas.detach())
    slope = 0.25 * torch.tensor(LATENCIES, dtype=torch.float64) * p * (1 - p)  # of sum p LAT in the second alpha
    torch.testing.assert_close(steps[1] - steps[0], torch.stack((-slope, slope), 1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_search_of_measured_time_ends_with_faster_networks_at_greater_gamma(name):
    expected = []
    for gamma in (0.0, 0.5, 5.0):
        method = get_method(name)(objective=TimeReward(LATENCIES), epochs=3, alpha_lr=0.05, gamma=gamma)
        p = method.search(TinyProblem("stage"), 3, torch.Generator().manual_seed(2)).trace[-1]["p"]
        expected.append(sum(x * t for x, t in zip(p, LATENCIES, strict=True)))
    assert expected[0] > expected[1] > expected[2]


def test_without_measured_time_the_penalty_is_the_mean_of_connections():
    relaxation = Relaxation(TinyProblem().supernet, torch.Generator().manual_seed(0))
    assert get_method("darts")().penalty(relaxation)().item() == pytest.approx(0.5, abs=1e-2)


def test_latencies_of_another_network_are_refused():
    with pytest.raises(UserInputError, match="latencies of 2 blocks, expected 9"):
        get_method("rarts")(objective=TimeReward((1.0, 2.0))).search(TinyProblem(), 3, torch.Generator())


@pytest.mark.parametrize("name", GRADIENT_METHODS)
@pytest.mark.parametrize("gamma", [-0.1, float("nan"), float("inf")])
def test_a_gamma_that_is_no_weight_is_refused(name, gamma):
    with pytest.raises(UserInputError, match=f"gamma={gamma}: expected 0 or more"):
        get_method(name)(gamma=gamma)
