"""Evaluation through the trie equals evaluating each scheme alone: `extract`, `update_bn` of torch, a plain forward."""

import itertools
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import update_bn

from backbones.arch import family_of
from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.supernet.evaluator import TrieEvaluator

pytestmark = pytest.mark.slow

DEPTHS = (2, 2, 2)
NEAR_TIE = 1e-4


def batches(seed, sizes, side=8):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(n, 3, side, side, generator=generator), torch.randint(0, 10, (n,), generator=generator))
        for n in sizes
    ]


def supernet(attention="se", sharing="stage", arch="resnet20", **options):
    """A supernet whose running statistics, affine parameters and masks are far from their initial values."""
    torch.manual_seed(0)
    make = family_of(arch).network()
    net = make(arch, attention=attention, sharing=sharing, supernet=True, num_classes=10, **options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    net.train()
    for images, _ in batches(9, [8, 8, 8]):
        net.scheme = ConnectionScheme.random(DEPTHS)
        net(3 * images + 1)
    return net.eval()


def alone(net, scheme, scored, calibration=None):
    """Loss, correct predictions and logits of one scheme, without anything of the evaluator."""
    single = net.extract(scheme)
    if calibration is not None:
        update_bn([images for images, _ in calibration], single)
    single.eval()
    with torch.no_grad():
        logits = torch.cat([single(images) for images, _ in scored])
    labels = torch.cat([labels for _, labels in scored])
    return F.cross_entropy(logits, labels).item(), 100 * (logits.argmax(1) == labels).float().mean().item(), logits


def near_ties(logits):
    """Number of images whose two best classes are so close that rounding may exchange them."""
    best = logits.topk(2).values
    return int((best[:, 0] - best[:, 1] < NEAR_TIE).sum())


def some_schemes():
    all_of_them = [ConnectionScheme.from_bits(bits, DEPTHS) for bits in itertools.product((0, 1), repeat=6)]
    return [*all_of_them[::9], ConnectionScheme.empty(DEPTHS), ConnectionScheme.full(DEPTHS)]


@pytest.mark.parametrize("bn", ["running", "recalibrated"])
@pytest.mark.parametrize("sharing", ["stage", "block"])
@pytest.mark.parametrize(
    ("attention", "arguments"),
    [("se", {}), ("sge", {"groups": 4}), ("dia", {})],
)
def test_equals_one_at_a_time(attention, arguments, sharing, bn):
    check_against_alone(attention, arguments, sharing, bn)


def test_normalisation_inside_a_module_is_recalibrated_too():
    check_against_alone("timm:cbam", {}, "block", "recalibrated")
    with pytest.raises(UserInputError, match="has batch normalisation of its own"):
        TrieEvaluator(supernet("timm:cbam"), batches(1, [2]), bn="recalibrated", calibration=batches(2, [2]))


@pytest.mark.parametrize("bn", ["running", "recalibrated"])
def test_a_normalisation_behind_the_last_connection_is_the_schemes_own(bn):
    check_against_alone("dia", {}, "stage", bn, arch="preresnet20")


def check_against_alone(attention, arguments, sharing, bn, **options):
    net = supernet(attention, sharing, attention_args=arguments, **options)
    scored, calibration = batches(1, [6, 6, 3]), batches(2, [8, 8])
    schemes = some_schemes()
    found = TrieEvaluator(net, scored, bn=bn, calibration=calibration).evaluate(schemes)
    losses = []
    for scheme, evaluation in zip(schemes, found, strict=True):
        loss, accuracy, logits = alone(net, scheme, scored, calibration if bn == "recalibrated" else None)
        assert evaluation.loss == pytest.approx(loss, abs=1e-5)
        assert abs(evaluation.accuracy - accuracy) <= 100 / 15 * near_ties(logits) + 1e-4
        assert evaluation.n == 15
        losses.append(loss)
    assert len({round(loss, 4) for loss in losses}) > len(set(schemes)) // 2  # the schemes do differ


def test_the_modes_differ_and_recalibration_takes_all_calibration_images():
    net, scored = supernet(), batches(1, [8])
    first, second = batches(2, [8]), batches(3, [8])
    schemes = some_schemes()

    def losses(**options):
        return [e.loss for e in TrieEvaluator(net, scored, **options).evaluate(schemes)]

    both = losses(bn="recalibrated", calibration=first + second)
    assert max(abs(a - b) for a, b in zip(losses(), both, strict=True)) > 0.01
    for part in (first, second):
        assert losses(bn="recalibrated", calibration=part) != both


def test_the_supernet_is_not_touched():
    net = supernet()
    net.train()
    net.scheme = ConnectionScheme.parse("10.01.11")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    evaluator = TrieEvaluator(net, batches(1, [4]), bn="recalibrated", calibration=batches(2, [4]))
    evaluator.evaluate(some_schemes())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.training and net.bn1.training and str(net.scheme) == "10.01.11"
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("bn", ["running", "recalibrated"])
def test_company_and_order_change_nothing(bn):
    evaluator = TrieEvaluator(supernet("dia"), batches(1, [5]), bn=bn, calibration=batches(2, [5]))
    schemes = some_schemes()
    together = dict(zip(schemes, evaluator.evaluate(schemes), strict=True))
    assert [evaluator.evaluate([scheme])[0] for scheme in schemes[:3]] == [together[scheme] for scheme in schemes[:3]]
    repeated = [schemes[5], schemes[2], schemes[5]]
    assert evaluator.evaluate(repeated) == [together[scheme] for scheme in repeated]


def test_dias_state_begins_anew_in_each_stage(monkeypatch):
    net, scored = supernet("dia"), batches(1, [4])
    states = []
    gate = type(net.sam(0, 0)).gate
    monkeypatch.setattr(
        type(net.sam(0, 0)), "gate", lambda self, x, state=None: (states.append(state), gate(self, x, state))[1]
    )
    TrieEvaluator(net, scored).evaluate([ConnectionScheme.parse("11.01.10")])
    assert [state is None for state in states] == [True, False, True, True]


def test_counts_blocks_as_they_run(monkeypatch):
    net, scored = supernet(), batches(1, [2, 2])
    every = [ConnectionScheme.from_bits(bits, DEPTHS) for bits in itertools.product((0, 1), repeat=6)]
    ran = []
    block = type(net.layer1[0])
    residual = block.residual
    monkeypatch.setattr(block, "residual", lambda self, x: (ran.append(1), residual(self, x))[1])
    evaluator = TrieEvaluator(net, scored, bn="recalibrated", calibration=batches(2, [2]))
    evaluator.evaluate(every)
    assert evaluator.blocks.run == len(ran) == 3 * 63 and evaluator.blocks.alone == 3 * 64 * 6
    assert evaluator.blocks.saving == pytest.approx(6 * 64 / 63)


def test_keeps_one_batch_of_activations_a_level(monkeypatch):
    made, alive = [], []
    children = TrieEvaluator._children

    def watched(self, node, x, state):
        alive.append((node.position, sum(reference() is not None for reference in made)))
        found = children(self, node, x, state)
        made.extend(weakref.ref(item[1]) for item in found)
        return found

    monkeypatch.setattr(TrieEvaluator, "_children", watched)
    every = [ConnectionScheme.from_bits(bits, DEPTHS) for bits in itertools.product((0, 1), repeat=6)]
    TrieEvaluator(supernet(), batches(1, [3, 3])).evaluate(every)
    # One waits at each level above, where a sibling is still to be run; one is being worked on.
    assert len(alive) == 2 * 63 and all(count <= position + 1 for position, count in alive)


def test_channels_last_gives_the_same():
    net, scored = supernet("sge", attention_args={"groups": 4}), batches(1, [6])
    plain, other = (TrieEvaluator(net, scored, channels_last=x).evaluate(some_schemes()) for x in (False, True))
    assert [e.loss for e in plain] == pytest.approx([e.loss for e in other], abs=1e-5)


@pytest.mark.parametrize("bn", ["running", "recalibrated"])
@pytest.mark.parametrize("attention", ["se", "dia"])
def test_bfloat16_equals_mixed_precision_one_at_a_time(attention, bn):
    net, scored, calibration = supernet(attention), batches(1, [6, 6]), batches(2, [8])
    schemes = some_schemes()
    options = {"bn": bn, "calibration": calibration}
    mixed = TrieEvaluator(net, scored, precision="bfloat16", **options).evaluate(schemes)
    full = TrieEvaluator(net, scored, **options).evaluate(schemes)
    assert not torch.is_autocast_enabled("cpu")
    exact = 0
    for scheme, evaluation in zip(schemes, mixed, strict=True):
        with torch.autocast("cpu", torch.bfloat16):
            loss, _, _ = alone(net, scheme, scored, calibration if bn == "recalibrated" else None)
        exact += abs(evaluation.loss - loss) < 1e-2
        assert evaluation.loss == pytest.approx(loss, abs=0.05)
    assert exact > len(schemes) / 2
    assert [e.loss for e in mixed] != [e.loss for e in full]
    assert [e.loss for e in mixed] == pytest.approx([e.loss for e in full], abs=0.2)


def test_refuses_what_it_cannot_evaluate():
    net, scored = supernet(), batches(1, [2])
    with pytest.raises(UserInputError, match="Did you mean 'recalibrated'"):
        TrieEvaluator(net, scored, bn="recalibrate", calibration=scored)
    with pytest.raises(UserInputError, match=r"precision='bf16'.*'bfloat16'"):
        TrieEvaluator(net, scored, precision="bf16")
    with pytest.raises(UserInputError, match="needs calibration images"):
        TrieEvaluator(net, scored, bn="recalibrated")
    with pytest.raises(UserInputError, match="supernet=True and num_classes"):
        TrieEvaluator(net.extract("11.11.11"), scored)
    with pytest.raises(UserInputError, match="stage 2 has 1 bits, expected 2"):
        TrieEvaluator(net, scored).evaluate([ConnectionScheme.parse("11.1.11")])
    with pytest.raises(UserInputError, match="no images"):
        TrieEvaluator(net, []).evaluate([ConnectionScheme.full(DEPTHS)])
