"""DARTS, MiLeNAS and RARTS: closed forms, exact derivatives, falling Lagrangians; and the same code on a supernet."""

import copy
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_supernet import TinyProblem
from torch.optim import SGD

from backbones.errors import UserInputError
from transfer.search.known_problems import PlantedLandscape
from transfer.search.methods import get_method
from transfer.search.methods._gradient import Relaxation
from transfer.search.methods._relaxation import Darts, MiLeNas, Rarts, descent_rates, gradients, mixed_product, moved

pytestmark = pytest.mark.slow

PAIRS = [(10.0, 10.0), (10.0, 20.0), (5.0, 10.0), (20.0, 20.0)]
GRADIENT_METHODS = ["darts", "milenas", "rarts"]


def variable(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


class TwoVariables:
    """The thesis's Example 2.4: validation a*u - 2a + 1, training w^2 - 2wa + a^2; the bilevel optimum is (1, 1)."""

    def __init__(self, u=0.3, w=-0.4, a=0.7):
        self.u, self.w, self.a = variable(u), variable(w), variable(a)

    def train_loss(self):
        return self.w**2 - 2 * self.w * self.a + self.a**2

    def val_loss(self):
        return self.a * self.u - 2 * self.a + 1

    def rarts(self, rates, lam, beta, **more):
        return Rarts(
            [self.u],
            [self.w],
            [self.a],
            *(SGD([p], rate) for p, rate in zip((self.u, self.w, self.a), rates, strict=True)),
            lam=lam,
            beta=beta,
            **more,
        )


def closed_form(lam, beta):
    """(w, u, a) where the gradient of the Lagrangian is zero."""
    d = 4 * beta * lam - beta - 2 * lam
    return (4 * beta * lam - 2 * beta) / d, (4 * beta * lam - 2 * beta - 4 * lam) / d, 4 * beta * lam / d


@pytest.mark.parametrize(("lam", "beta"), PAIRS)
def test_rarts_reaches_the_closed_form(lam, beta):
    problem = TwoVariables()
    # The inverse curvatures: each step solves for its variable.
    rarts = problem.rarts((1 / beta, 1 / (2 * lam + beta), 1 / (2 * lam)), lam, beta)
    for _ in range(600):
        rarts.step(problem.train_loss, problem.val_loss)
    found = [p.item() for p in (problem.w, problem.u, problem.a)]
    assert found == pytest.approx(closed_form(lam, beta), abs=1e-6)


def test_the_closed_form_is_the_one_of_the_thesis():
    assert closed_form(10, 10) == pytest.approx((1.02703, 0.91892, 1.08108), abs=1e-5)
    assert closed_form(1e6, 1e6) == pytest.approx((1, 1, 1), abs=1e-5)


@pytest.mark.parametrize(("lam", "beta"), PAIRS)
def test_lagrangian_falls_at_every_step_below_the_bounds(lam, beta):
    problem = TwoVariables(u=-3.0, w=4.0, a=2.0)
    # Hessians [[0, 1], [1, 0]] and [[2, -2], [-2, 2]]: gradients are Lipschitz with constant 4.
    rates = [0.99 * bound for bound in descent_rates(4.0, lam=lam, beta=beta)]
    rarts = problem.rarts(rates, lam, beta)
    values = [rarts.lagrangian(problem.train_loss, problem.val_loss).item()]
    for _ in range(60):
        rarts.step(problem.train_loss, problem.val_loss)
        values.append(rarts.lagrangian(problem.train_loss, problem.val_loss).item())
    assert all(after < before for before, after in itertools.pairwise(values))


@pytest.mark.parametrize(("lam", "beta"), PAIRS)
def test_the_lagrangian_converges_linearly_and_as_fast_as_corollary_2_6_says(lam, beta):
    """`L' - L* <= (1 - c4 eta^2 mu / 6) (L - L*)`, all rates eta <= 1 / (3 L); the exact rate is Gauss-Seidel's."""
    hessian = np.array([[0, 0, 1], [0, 2 * lam, -2 * lam], [1, -2 * lam, 2 * lam]], dtype=float)  # of u, w, a
    hessian[:2, :2] += beta * np.array([[1, -1], [-1, 1]])
    mu, *_, greatest = np.linalg.eigvalsh(hessian)
    assert mu > 0
    bounds = descent_rates(greatest, lam=lam, beta=beta)
    eta, c4 = min(*bounds, 1 / (3 * greatest)) * 0.99, 0.5 * min(1 / bound for bound in bounds)
    problem = TwoVariables(u=-3.0, w=4.0, a=2.0)
    rarts = problem.rarts((eta, eta, eta), lam, beta)
    (w, u, a), values = closed_form(lam, beta), []
    least = a * u - 2 * a + 1 + lam * (w - a) ** 2 + beta / 2 * (u - w) ** 2
    for _ in range(400):
        values.append(rarts.lagrangian(problem.train_loss, problem.val_loss).item() - least)
        rarts.step(problem.train_loss, problem.val_loss)
    assert all(after <= (1 - c4 * eta**2 * mu / 6) * before for before, after in itertools.pairwise(values))
    step = np.eye(3)
    for row in (1, 0, 2):
        one = np.eye(3)
        one[row] -= eta * hessian[row]
        step = one @ step
    start = np.array([-3.0 - u, 4.0 - w, 2.0 - a])
    expected = [0.5 * x @ hessian @ x for x in (np.linalg.matrix_power(step, t) @ start for t in range(400))]
    assert values == pytest.approx(expected, rel=1e-8)


def test_descent_rates_with_a_penalty():
    assert descent_rates(2.0, lam=3.0, beta=4.0, gamma=2.0) == pytest.approx((1 / 8, 1 / 16, 1 / 20))


def test_rarts_step_is_the_one_written_out():
    problem, (eu, ew, ea), lam, beta, gamma = TwoVariables(), (0.01, 0.02, 0.03), 3.0, 5.0, 0.7
    u, w, a = (p.item() for p in (problem.u, problem.w, problem.a))
    problem.rarts((eu, ew, ea), lam, beta, gamma=gamma, penalty=lambda: problem.a**2).step(
        problem.train_loss, problem.val_loss
    )
    w = w - ew * (lam * (2 * w - 2 * a) + beta * (w - u))
    u = u - eu * (a + beta * (u - w))
    a = a - ea * (lam * (2 * a - 2 * w) + (u - 2) + gamma * 2 * a)
    assert [p.item() for p in (problem.u, problem.w, problem.a)] == pytest.approx([u, w, a], abs=1e-12)


def test_rarts_without_spring_and_training_loss_is_joint_descent_on_validation():
    problem = TwoVariables()
    u, a = problem.u.item(), problem.a.item()
    rarts = problem.rarts((0.05, 0.05, 0.05), 0.0, 0.0)
    for _ in range(5):
        rarts.step(problem.train_loss, problem.val_loss)
        u = u - 0.05 * a
        a = a - 0.05 * (u - 2)
    assert problem.w.item() == pytest.approx(-0.4)
    assert (problem.u.item(), problem.a.item()) == pytest.approx((u, a), abs=1e-12)


class OneSetOfWeights(TwoVariables):
    """The same with u = w, as DARTS and MiLeNAS have it."""

    def val_loss(self):
        return self.a * self.w - 2 * self.a + 1

    def run(self, kind, steps=400, rate=0.2, **more):
        method = kind([self.w], [self.a], SGD([self.w], more.pop("xi", rate)), SGD([self.a], rate), **more)
        for _ in range(steps):
            method.step(self.train_loss, self.val_loss)
        return self.w.item(), self.a.item()


def test_first_order_darts_goes_astray():
    assert OneSetOfWeights().run(Darts) == pytest.approx((2, 2), abs=1e-6)


@pytest.mark.parametrize("val_weight", [0.5, 1.0, 4.0])
def test_milenas_goes_astray_as_well(val_weight):
    assert OneSetOfWeights().run(MiLeNas, val_weight=val_weight) == pytest.approx((2, 2), abs=1e-6)


@pytest.mark.parametrize("xi", [0.1, 0.25, 0.5])
def test_second_order_darts_goes_to_its_own_fixed_point(xi):
    # At rest w = a, and the gradient through one step is a - 2 + 2 xi a.
    expected = 2 / (1 + 2 * xi)
    assert OneSetOfWeights().run(Darts, xi=xi, second_order=True) == pytest.approx((expected, expected), abs=1e-6)


def test_mixed_product_is_the_exact_second_derivative():
    torch.manual_seed(0)
    w, a = (torch.randn(n, dtype=torch.float64, requires_grad=True) for n in (4, 3))
    mixing, direction = torch.randn(3, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)

    def loss():
        return (torch.sin(a) @ mixing @ torch.tanh(w)) + (a.sum() * w.square().sum())

    (by_w,) = torch.autograd.grad(loss(), w, create_graph=True)
    (expected,) = torch.autograd.grad(by_w @ direction, a)
    (found,) = mixed_product(loss, [a], [w], [direction])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert mixed_product(loss, [a], [w], [torch.zeros_like(w)])[0].eq(0).all()


def test_second_order_gradient_goes_through_momentum_and_weight_decay():
    torch.manual_seed(1)
    w, a = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = SGD([w], 0.1, momentum=0.9, weight_decay=0.01)

    def train_loss():
        return ((w - a) ** 2 * torch.arange(1.0, 4.0)).sum()

    def val_loss():
        return (w * a).square().sum()

    darts = Darts([w], [a], optimizer, SGD([a], 0.0), second_order=True)
    darts.step(train_loss, val_loss)  # fills the momentum
    buffer = optimizer.state[w]["momentum_buffer"].clone()
    (by_w,) = torch.autograd.grad(train_loss(), w, create_graph=True)
    ahead = w - 0.1 * (by_w + 0.01 * w + 0.9 * buffer)
    expected = torch.autograd.grad((ahead * a).square().sum(), a)[0]
    before = w.detach().clone()
    (found,) = darts._ahead(train_loss, val_loss)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(w.detach(), before)


def test_moved_restores_exactly():
    p = torch.randn(1000, requires_grad=True)
    before = p.detach().clone()
    with pytest.raises(KeyError), moved([p], [torch.randn(1000) / 3]):
        raise KeyError
    assert torch.equal(p.detach(), before)


def test_gradients_of_what_a_loss_ignores_are_zero():
    a, b = variable(1.0), variable(2.0)
    assert [g.item() for g in gradients(3 * a, [a, b])] == [3.0, 0.0]


# ---- supernets


@pytest.mark.parametrize(
    ("name", "args", "passes"),
    [("darts", {}, 2), ("darts", {"order": 2}, 5), ("milenas", {}, 3), ("rarts", {"gamma": 0.1}, 4)],
)
def test_gradient_methods_search_a_supernet(name, args, passes):
    problem = TinyProblem("stage" if name == "rarts" else "block")
    before = copy.deepcopy(problem.supernet.state_dict())
    runs = [get_method(name)(epochs=2, **args).search(problem, 3, torch.Generator().manual_seed(4)) for _ in range(2)]
    assert runs[0].trace == runs[1].trace
    assert runs[0].log == runs[1].log
    assert 1 <= len(runs[0].log) <= 2
    assert runs[0].images == passes * 4 * 2 * 2
    p = runs[0].trace[-1]["p"]
    assert len(p) == sum(problem.depths) and len(set(p)) > 1
    assert str(runs[0].best.scheme) in {step["scheme"] for step in runs[0].trace}
    assert all(torch.equal(before[key], value) for key, value in problem.supernet.state_dict().items())


def test_least_validation_loss_comes_first():
    result = get_method("darts")(epochs=4, alpha_lr=0.05).search(TinyProblem(), 3, torch.Generator().manual_seed(1))
    least = min(result.trace, key=lambda step: step["loss"])
    assert str(result.best.scheme) == least["scheme"]


def test_the_architecture_follows_the_loss():
    """The gradient of single connections, against differences of the loss."""
    problem = TinyProblem()
    for parameter in problem.supernet.attention.parameters():
        torch.nn.init.zeros_(parameter)
    relaxation = Relaxation(problem.supernet, torch.Generator().manual_seed(0))
    relaxation.net.double()
    relaxation.alphas = relaxation.alphas.detach().double().requires_grad_(True)
    images, labels = problem.loaders[1][0][0].double(), problem.loaders[1][0][1]
    _, val_loss = relaxation.losses((images, labels), (images, labels))
    found = torch.autograd.grad(val_loss(), relaxation.alphas)[0]
    for block in (0, 4, 8):
        moved_losses = []
        for change in (-1e-5, 1e-5):
            alphas = relaxation.alphas.detach().clone()
            alphas[block, 1] += change
            logits = relaxation.net(images, alphas.softmax(1)[:, 1])
            moved_losses.append(F.cross_entropy(logits, labels).item())
        slope = (moved_losses[1] - moved_losses[0]) / 2e-5
        assert found[block, 1].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", [*GRADIENT_METHODS, "l1", "gm"])
def test_methods_that_need_a_supernet_say_so(name):
    with pytest.raises(UserInputError, match=f"method '{name}' looks inside a supernet"):
        get_method(name)().search(PlantedLandscape((2, 2)), 3, torch.Generator())


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_supernet_without_loaders_is_refused(name):
    problem = TinyProblem()
    problem.loaders = None
    with pytest.raises(UserInputError, match="offers no loaders"):
        get_method(name)().search(problem, 3, torch.Generator())


def test_train_and_val_loader_serve_as_loaders():
    problem = TinyProblem()
    problem.train_loader, problem.val_loader = problem.loaders
    problem.evaluate = PlantedLandscape(problem.depths).evaluate
    del problem.loaders
    assert get_method("darts")(epochs=1).search(problem, 3, torch.Generator()).images == 16


def test_halves_of_a_problem_without_are_refused():
    with pytest.raises(UserInputError, match="TinyProblem does not cut its D_train in halves"):
        get_method("rarts")(halves=True).search(TinyProblem(), 3, torch.Generator())


# ---- pruning


@pytest.mark.parametrize("name", ["l1", "gm"])
def test_pruning_is_undefined_for_a_shared_module(name):
    with pytest.raises(UserInputError, match="undefined for a module that a stage shares"):
        get_method(name)().search(TinyProblem("stage"), 3, torch.Generator())


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 1.0])
def test_l1_keeps_the_greatest_mean_weights(ratio):
    problem = TinyProblem()
    means = []
    for stage, depth in enumerate(problem.depths):
        for block in range(depth):
            weights = [p for n, p in problem.supernet.sam(stage, block).named_parameters() if n.endswith("weight")]
            means.append(sum(w.abs().sum() for w in weights).item() / sum(w.numel() for w in weights))
    (record,) = get_method("l1")(ratio=ratio).search(problem, 5, torch.Generator()).log
    kept = round(ratio * len(means))
    assert record.scheme.connected == kept
    assert {i for i, bit in enumerate(record.scheme.bits) if bit} == set(
        sorted(range(len(means)), key=lambda i: -means[i])[:kept]
    )


def test_gm_drops_what_the_others_can_replace():
    problem = TinyProblem()
    net = problem.supernet
    for stage, depth in enumerate(problem.depths):
        assert depth == 3
        for parameters in zip(*(net.sam(stage, block).parameters() for block in range(depth)), strict=True):
            with torch.no_grad():
                parameters[1].copy_((parameters[0] + parameters[2]) / 2)  # the median of its stage
    (record,) = get_method("gm")(ratio=2 / 3).search(problem, 5, torch.Generator()).log
    assert str(record.scheme) == "101.101.101"


def test_wrong_arguments_are_the_user_s():
    with pytest.raises(UserInputError, match="order=3"):
        get_method("darts")(order=3)
    with pytest.raises(UserInputError, match="epochs=0"):
        get_method("rarts")(epochs=0)
    with pytest.raises(UserInputError, match="ratio=2"):
        get_method("l1")(ratio=2)
