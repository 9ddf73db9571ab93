"""EAN's controller, curiosity and reuse, against NumPy written from the formulas; the three variants' particulars."""

import numpy as np
import pytest
import torch

from transfer.search.known_problems import PlantedLandscape
from transfer.search.methods import get_method
from transfer.search.methods._controller import (
    Controller,
    Curiosity,
    ReplayBuffer,
    Step,
    clipped_loss,
    policy_loss,
    reuse_loss,
    running_mean,
)
from transfer.search.methods._ean_variants import VARIANTS, Authors, scrambled
from transfer.search.methods.enas import RecurrentController
from transfer.search.objective import Reward
from transfer.search.session import Session

pytestmark = pytest.mark.slow

M = 5


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def seeded(build):
    torch.manual_seed(0)
    return build(M)


def numpy_controller(controller):
    """Probabilities (m, 2), hidden activations (50,) and weights of the second layer, in double precision."""
    first, _, second = controller.layers
    hidden = np.maximum(first.bias.detach().double().numpy(), 0)  # the input is zero
    weight = second.weight.detach().double().numpy()
    logits = (weight @ hidden + second.bias.detach().double().numpy()).reshape(M, 2) / 5
    odds = np.exp(logits)
    return odds / odds.sum(1, keepdims=True), hidden, weight


def numpy_gradient(controller, coefficients):
    """Gradient of sum_ki c_ki log p(bit_ki), for {bit: c} as coefficients (m, 2), in all parameters with one."""
    p, hidden, weight = numpy_controller(controller)
    by_logits = ((coefficients - p * coefficients.sum(1, keepdims=True)) / 5).reshape(-1)
    by_hidden = (weight.T @ by_logits) * (hidden > 0)
    return {
        "layers.0.bias": by_hidden,
        "layers.2.weight": np.outer(by_logits, hidden),
        "layers.2.bias": by_logits,
    }


def counts(bits, weights):
    """Coefficients (m, 2): for each block and value, the summed weights (K, m) of the schemes that have it."""
    bits, weights = np.asarray(bits), np.broadcast_to(weights, np.shape(bits))
    return np.stack([(weights * (bits == value)).sum(0) for value in (0, 1)], axis=1)


def assert_gradients(controller, loss, coefficients):
    controller.zero_grad()
    loss.backward()
    assert not controller.layers[0].weight.grad.any()  # of a zero input
    for name, expected in numpy_gradient(controller, coefficients).items():
        found = controller.get_parameter(name).grad.double().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_controller_is_the_formula():
    controller = seeded(Controller)
    p, _, _ = numpy_controller(controller)
    np.testing.assert_allclose(controller().exp().detach().numpy(), p, rtol=1e-5)
    bits = torch.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0]])
    expected = np.log(np.take_along_axis(p[None].repeat(2, 0), bits[..., None].numpy(), 2)[..., 0])
    np.testing.assert_allclose(controller.log_probabilities(bits).detach().numpy(), expected, rtol=1e-5)


def test_controller_begins_undecided_and_samples_what_it_says():
    controller = seeded(Controller)
    p = controller().exp()[:, 1].detach()
    assert (p - 0.5).abs().max() < 0.05
    with torch.no_grad():
        controller.layers[2].bias[1] += 10.0
    drawn = controller.sample(4000, generator())
    assert drawn.shape == (4000, M) and drawn.is_contiguous()
    p = controller().exp()[:, 1].detach()
    torch.testing.assert_close(drawn.double().mean(0), p.double(), atol=0.03, rtol=0)


def test_reinforce_step_is_eq_6():
    controller, bits = seeded(Controller), torch.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0], [1, 0, 0, 1, 1]])
    advantages = np.array([0.7, -1.2, 0.4])
    loss = policy_loss(controller.log_probabilities(bits), torch.tensor(advantages, dtype=torch.float32))
    assert_gradients(controller, loss, counts(bits, -advantages[:, None] / 3))


def test_reuse_step_is_eq_31():
    controller, bits = seeded(Controller), torch.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0]])
    rewards, old = np.array([0.9, -0.3]), np.random.default_rng(0).uniform(0.2, 0.8, (2, M))
    loss = reuse_loss(
        controller.log_probabilities(bits), torch.tensor(np.log(old)).float(), torch.tensor(rewards).float()
    )
    p, _, _ = numpy_controller(controller)
    ratio = np.take_along_axis(p[None].repeat(2, 0), bits[..., None].numpy(), 2)[..., 0] / old
    assert_gradients(controller, loss, counts(bits, -rewards[:, None] * ratio / 2))


def test_clipped_step_is_ppo_s():
    controller, bits = seeded(Controller), torch.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0]])
    advantages, old = np.array([0.9, -0.3]), np.random.default_rng(1).uniform(0.2, 0.8, (2, M))
    log_old = torch.tensor(np.log(old)).float()
    loss = clipped_loss(controller.log_probabilities(bits), log_old, torch.tensor(advantages).float(), 0.2)
    p, _, _ = numpy_controller(controller)
    ratio = np.take_along_axis(p[None].repeat(2, 0), bits[..., None].numpy(), 2)[..., 0] / old
    gain = advantages[:, None]
    value = -np.minimum(ratio * gain, np.clip(ratio, 0.8, 1.2) * gain).sum(1).mean()
    assert loss.item() == pytest.approx(value, rel=1e-5)
    # Where the clip holds and the unclipped term is the greater, nothing flows; elsewhere d ratio = ratio * d log p.
    flows = ~(((gain > 0) & (ratio > 1.2)) | ((gain < 0) & (ratio < 0.8)))
    assert not flows.all() and flows.any()
    assert_gradients(controller, loss, counts(bits, -gain * ratio * flows / 2))


def test_curiosity_has_the_shapes_and_the_bonus_of_the_formula():
    curiosity = seeded(Curiosity)
    shapes = [
        tuple(p.shape) for net in (curiosity.target, curiosity.predictor) for p in net.parameters() if p.dim() > 1
    ]
    assert shapes == [(32, M), (32, 32), (4 * M, 32), (32, M), (4 * M, 32)]
    assert not any(p.requires_grad for p in curiosity.target.parameters())
    bits = torch.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0]])

    def numpy_net(net):
        x, weights = bits.double().numpy(), [p.detach().double().numpy() for p in net.parameters()]
        for i in range(0, len(weights), 2):
            x = x @ weights[i].T + weights[i + 1]
            x = np.maximum(x, 0) if i + 2 < len(weights) else x
        return x

    expected = ((numpy_net(curiosity.target) - numpy_net(curiosity.predictor)) ** 2).sum(1)
    np.testing.assert_allclose(curiosity(bits).detach().numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize(("blocks", "expected"), [(16, 11.5), (54, 36.0)])
def test_the_bonus_of_three_schemes_begins_where_the_released_code_s_does(blocks, expected):
    totals = []
    for seed in range(30):
        torch.manual_seed(seed)
        totals.append(Curiosity(blocks)(torch.randint(2, (3, blocks))).sum().item())
    assert np.mean(totals) == pytest.approx(expected, rel=0.15)


def test_what_was_seen_is_less_curious():
    curiosity = seeded(lambda m: Curiosity(12))
    seen, unseen = torch.randint(2, (20, 12)), torch.randint(2, (20, 12))
    optimizer = torch.optim.Adam(curiosity.predictor.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        curiosity(seen).sum().backward()
        optimizer.step()
    assert curiosity(seen).mean() < 0.5 * curiosity(unseen).mean()


def test_buffer_forgets_the_oldest():
    buffer = ReplayBuffer(3)
    for number in range(5):
        buffer.add(Step(*(torch.tensor([number]) for _ in range(3))))
    draw = generator()
    assert {int(buffer.draw(draw).rewards) for _ in range(60)} == {2, 3, 4}


def test_running_mean():
    assert running_mean(None, 3.0) == 3.0
    assert running_mean(3.0, 5.0) == pytest.approx(0.95 * 3 + 0.05 * 5)


def test_the_authors_packing_scrambles_all_but_the_first():
    bits = torch.tensor([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1]])
    # m drawings of two bits, joined: (1 0)(1 1)(0 0)(0 1), cut into two rows of four.
    assert scrambled(bits).tolist() == [[1, 0, 0, 1], [1, 0, 1, 1], [0, 0, 0, 1]]


class Recorded(Authors):
    """Keeps what went through a step."""

    def learn(self, bits, values):
        self.before = {name: p.detach().clone() for name, p in self.controller.named_parameters()}
        self.seen = bits, values, self.curiosity(scrambled(bits)).sum().item()
        super().learn(bits, values)


def test_authors_step_is_the_released_code_s():
    problem = PlantedLandscape((M,), seed=2)
    variant = Recorded(Session(problem, 32, Reward()), generator(3))
    variant.step()
    bits, values, bonus = variant.seen
    rewards = values.double().numpy() - 54 + bonus
    assert bits.shape == (3, M)
    assert variant.baseline == pytest.approx(rewards.mean(), rel=1e-5)  # takes the new rewards in first
    old = Controller(M)
    old.load_state_dict(variant.before)
    expected = numpy_gradient(old, counts(bits, -(rewards - rewards.mean())[:, None] / 3))
    for name, gradient in expected.items():  # Adam's first step is the sign of the gradient
        change = (variant.controller.get_parameter(name) - variant.before[name]).detach().numpy()
        clear = np.abs(gradient) > 1e-4
        np.testing.assert_allclose(change[clear], -0.05 * np.sign(gradient[clear]), rtol=1e-2)
    entry = variant.buffer.draw(generator())
    np.testing.assert_allclose(entry.rewards.numpy(), values.numpy() - 54, rtol=1e-6)  # lacks the bonus
    assert entry.bits.tolist() == scrambled(bits).tolist()
    p, _, _ = numpy_controller(old)
    true = np.take_along_axis(p[None].repeat(3, 0), bits[..., None].numpy(), 2)[..., 0]
    np.testing.assert_allclose(entry.log_probabilities.exp().numpy(), true, rtol=1e-4)  # of the true schemes


def test_authors_reuse_takes_the_lesser_of_two_totals():
    variant = Authors(Session(PlantedLandscape((M,)), 32, Reward()), generator(1))
    rng = np.random.default_rng(4)
    bits, rewards = torch.tensor(rng.integers(0, 2, (3, M))), torch.tensor([2.0, 0.5, -1.0])
    old = rng.uniform(0.2, 0.8, (3, M))
    variant.controller_optimizer = torch.optim.SGD(variant.controller.parameters(), 1.0)
    before = Controller(M)
    before.load_state_dict(variant.controller.state_dict())
    variant._reuse(Step(bits, rewards, torch.tensor(np.log(old)).float()), baseline=1.0)
    p, _, _ = numpy_controller(before)
    now = np.take_along_axis(p[None].repeat(3, 0), bits[..., None].numpy(), 2)[..., 0]
    gain = (rewards.numpy() - 1.0)[:, None]
    weights = [now / old, np.clip(now / old, 0.9, 1.1)]
    totals = [(w * np.log(now) * gain).sum() / 3 for w in weights]
    expected = numpy_gradient(before, counts(bits, 0.1 * weights[int(np.argmin(totals))] * gain / 3))
    for name, gradient in expected.items():
        change = (variant.controller.get_parameter(name) - before.get_parameter(name)).detach().numpy()
        np.testing.assert_allclose(change, gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_variants_sample_as_many_schemes_as_they_say(name):
    trace = get_method("ean")(variant=name).search(PlantedLandscape((4, 4)), 60, generator()).trace
    assert {len(step["schemes"]) for step in trace} == {{"paper": 1, "authors": 3, "fixed": 8}[name]}
    assert trace[0]["p_bar"] == pytest.approx(0.5, abs=0.05)
    assert len(trace) > 10  # reuse took place


def test_fixed_does_not_depend_on_unit_and_offset_of_the_objective():
    problem = PlantedLandscape((4, 4), seed=5)
    first = get_method("ean")().search(problem, 48, generator(2))
    other = get_method("ean")(objective=lambda e, s: 1024 * Reward()(e, s) - 4096).search(problem, 48, generator(2))
    agree = [a.scheme == b.scheme for a, b in zip(first.log, other.log, strict=False)]
    assert np.mean(agree) > 0.9  # rounding may turn a late sample


def test_fixed_learns_what_is_good():
    problem = PlantedLandscape((6, 6), seed=6, noise=0.0)
    trace = get_method("ean")().search(problem, 200, generator(0)).trace
    assert trace[-1]["p_bar"] > 0.85


def test_enas_reports_the_probabilities_that_it_samples_with():
    torch.manual_seed(0)
    controller = RecurrentController(3)
    with torch.no_grad():
        controller.decision.bias += torch.tensor([0.0, 2.0])
    drawn, chance = {}, {}
    draw = generator()
    for _ in range(600):
        bits, log_p, entropy = controller.sample(draw)
        key = tuple(bits.tolist())
        drawn[key] = drawn.get(key, 0) + 1
        chance[key] = log_p.sum().exp().item()
        assert entropy.shape == (3,) and (entropy >= 0).all() and (entropy <= np.log(2) + 1e-6).all()
    assert sum(chance.values()) == pytest.approx(1, abs=1e-4)
    for key, p in chance.items():
        assert drawn[key] / 600 == pytest.approx(p, abs=4 * (p * (1 - p) / 600) ** 0.5 + 1e-3)
