"""Networks of searched cells: counts as published, forward by hand, cards, deployment."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from card_files import shake

from backbones import macs
from backbones.arch import ARCHITECTURES
from backbones.card import INPUTS, BackboneCard, Provenance
from backbones.drawing import network_lines
from backbones.errors import UserInputError
from backbones.families._cells import CellNetwork
from backbones.families.cells import DARTS_V2
from backbones.genotype import Genotype
from backbones.registry import create_backbone, get_card, register_backbone
from backbones.verification import verify_card
from transfer.deploy import deploy
from transfer.deploy._fused import FusedConv

pytestmark = pytest.mark.slow

MIXED = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
CONVOLUTIONS = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
NOTHING = CONVOLUTIONS.replace("nor_conv_3x3", "none")
SMALL = ("cells_nats_c8n1", "cells_darts_c16n8")


def images(side=16, count=2):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def counted(arch, **options):
    with torch.device("meta"):
        net = CellNetwork(arch, **options)
    return sum(parameter.numel() for parameter in net.parameters()), macs.count(net, 32)


def card(name="cells_nats_c8n1_mixed.mine", genotype=MIXED, arch="cells_nats_c8n1", **fields):
    return BackboneCard(
        name,
        arch,
        None,
        INPUTS["cifar"],
        Provenance("hand", "a test"),
        genotype=None if genotype is None else Genotype.parse(genotype),
        **fields,
    )


# ---- counts


@pytest.mark.parametrize(
    ("genotype", "classes", "parameters", "flops"),
    [  # the least and the most of NAS-Bench-201, as its API gives them, in 1e6
        (NOTHING, 10, 0.073306, 7.78305),
        (CONVOLUTIONS, 10, 1.531546, 220.11969),
        (NOTHING, 100, 0.079156, 7.7889),
        (CONVOLUTIONS, 100, 1.537396, 220.12554),
    ],
)
def test_counts_of_nas_bench_201_as_published(genotype, classes, parameters, flops):
    count, multiplications = counted("cells_nats", genotype=genotype, num_classes=classes)
    assert count == round(1e6 * parameters)
    assert multiplications + classes == round(1e6 * flops), "theirs counts the additions of the classifier's bias"


def darts_parameters(channels, cells, normal, reduction, classes):
    """DARTS's CIFAR network in numbers alone: what each convolution and normalisation holds."""
    costs = {
        "sep_conv_3x3": lambda c: 2 * (9 * c + c * c + 2 * c),
        "sep_conv_5x5": lambda c: 2 * (25 * c + c * c + 2 * c),
        "dil_conv_3x3": lambda c: 9 * c + c * c + 2 * c,
        "dil_conv_5x5": lambda c: 25 * c + c * c + 2 * c,
    }
    total = 27 * 3 * channels + 2 * 3 * channels
    first = second = 3 * channels
    for cell in range(cells):
        reduces = cell in (cells // 3, 2 * cells // 3)
        channels *= 2 if reduces else 1
        total += (first + second) * channels + 2 * 2 * channels
        for name, source in reduction if reduces else normal:
            if name == "skip_connect":
                total += (channels * channels + 2 * channels) * (reduces and source < 2)
            else:
                total += costs.get(name, lambda c: 0)(channels)
        first, second = second, 4 * channels
    return total + (second + 1) * classes


def test_parameters_of_darts_as_published():
    normal = [("sep_conv_3x3", 0), ("sep_conv_3x3", 1)] * 2
    normal += [("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)]
    reduction = [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1)]
    reduction += [("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)]
    edges = [[edge for node in cell for edge in node] for cell in Genotype.parse(DARTS_V2).cells]
    assert [sorted(cell) for cell in edges] == [sorted(normal), sorted(reduction)]
    count, _ = counted("cells_darts", genotype=DARTS_V2, num_classes=10)
    assert count == darts_parameters(36, 20, normal, reduction, 10) == 3_349_342  # Table 1: 3.3 million


@pytest.mark.parametrize("operation", ["sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "skip_connect"])
def test_parameters_of_each_operation_of_darts(operation):
    cell = "+".join([f"|{operation}~0|{operation}~1|"] * 4)
    count, _ = counted("cells_darts_c16n8", genotype=f"{cell}/{cell}", num_classes=10)
    edges = [(operation, source) for source in (0, 1)] * 4
    assert count == darts_parameters(16, 8, edges, edges, 10)


# ---- by hand


def norm(state, name, x):
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts)


def relu_conv_norm(state, name, x, **options):
    return norm(state, f"{name}.2", F.conv2d(x.relu(), state[f"{name}.1.weight"], **options))


def mixed_cell(state, name, x):
    """`MIXED` written out."""
    one = relu_conv_norm(state, f"{name}.edges.0", x, padding=1)
    two = x + relu_conv_norm(state, f"{name}.edges.2", one)
    pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return pooled + relu_conv_norm(state, f"{name}.edges.5", two, padding=1)


def test_nats_by_hand():
    net = shake(CellNetwork("cells_nats_c8n1", genotype=MIXED, num_classes=5)).double()
    state, x = net.state_dict(), images().double()
    y = norm(state, "bn1", F.conv2d(x, state["conv1.weight"], padding=1))
    y = mixed_cell(state, "layer1.0", y)
    for stage in ("layer2", "layer3"):
        residual = relu_conv_norm(state, f"{stage}.0.conv1", y, stride=2, padding=1)
        residual = relu_conv_norm(state, f"{stage}.0.conv2", residual, padding=1)
        shortcut = F.conv2d(F.avg_pool2d(y, 2), state[f"{stage}.0.downsample.1.weight"])
        y = mixed_cell(state, f"{stage}.1", residual + shortcut)
    y = norm(state, "layer3.1.norm", y).relu().mean((2, 3))
    with torch.no_grad():
        expected = y @ state["fc.weight"].T + state["fc.bias"]
        torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-12)


def factorized(state, name, x, stride=2):
    x = x.relu()
    odd = F.conv2d(x[:, :, 1:, 1:], state[f"{name}.conv2.weight"], stride=stride)
    return norm(state, f"{name}.norm", torch.cat([F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride), odd], 1))


def separable(state, name, x, first, stride=1, dilation=1):
    weight = state[f"{name}.{first + 1}.weight"]
    padding = dilation * (weight.shape[-1] // 2)
    x = F.conv2d(x.relu(), weight, stride=stride, padding=padding, dilation=dilation, groups=len(weight))
    return norm(state, f"{name}.{first + 3}", F.conv2d(x, state[f"{name}.{first + 2}.weight"]))


DARTS = (
    "|sep_conv_3x3~0|skip_connect~1|+|dil_conv_5x5~1|avg_pool_3x3~2|+|sep_conv_5x5~0|none~3|+|skip_connect~2|max_pool_3x3~3|/"
    "|skip_connect~0|sep_conv_3x3~1|+|max_pool_3x3~0|avg_pool_3x3~2|+|dil_conv_3x3~1|skip_connect~3|+|none~0|skip_connect~4|"
)


def darts_cell(state, name, before, own, *, reduces, halves):
    """The cells of `DARTS` written out."""
    a = factorized(state, f"{name}.before", before) if halves else relu_conv_norm(state, f"{name}.before", before)
    b = relu_conv_norm(state, f"{name}.own", own)
    e = f"{name}.edges"
    if reduces:
        c = factorized(state, f"{e}.0", a) + separable(state, f"{e}.1", separable(state, f"{e}.1", b, 0, 2), 4)
        d = F.max_pool2d(a, 3, 2, 1) + F.avg_pool2d(c, 3, 1, 1, count_include_pad=False)
        f = separable(state, f"{e}.4", b, 0, 2, 2) + d
        return torch.cat([c, d, f, f], 1)
    c = separable(state, f"{e}.0", separable(state, f"{e}.0", a, 0), 4) + b
    d = separable(state, f"{e}.2", b, 0, 1, 2) + F.avg_pool2d(c, 3, 1, 1, count_include_pad=False)
    f = separable(state, f"{e}.4", separable(state, f"{e}.4", a, 0), 4)
    return torch.cat([c, d, f, c + F.max_pool2d(d, 3, 1, 1)], 1)


def test_darts_by_hand():
    net = shake(CellNetwork("cells_darts_c16n8", genotype=DARTS, out_indices=(0, 1, 2))).double()
    state, x = net.state_dict(), images().double()
    before = own = norm(state, "bn1", F.conv2d(x, state["conv1.weight"], padding=1))
    maps, cell = [], 0
    for stage, depth in enumerate((2, 3, 3), 1):
        for block in range(depth):
            reduces, halves = cell in (2, 5), cell in (3, 6)
            name = f"layer{stage}.{block}"
            before, own = own, darts_cell(state, name, before, own, reduces=reduces, halves=halves)
            cell += 1
        maps.append(own)
    with torch.no_grad():
        for ours, theirs in zip(net(x), maps, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


# ---- the contract, of darts too


@pytest.mark.parametrize("arch", SMALL)
def test_maps_of_odd_sides_have_the_promised_sizes(arch):
    net = CellNetwork(arch, out_indices=(0, 1, 2)).eval()
    with torch.no_grad():
        for feature, info in zip(net(images(side=21)), net.feature_info, strict=True):
            assert feature.shape[1:] == (info.channels, -(-21 // info.stride), -(-21 // info.stride))


def test_darts_dilates_and_keeps_its_keys():
    net, plain = (
        CellNetwork("cells_darts_c16n8", genotype=DARTS, output_stride=stride, out_indices=(2,)).eval()
        for stride in (2, None)
    )
    assert net.state_dict().keys() == plain.state_dict().keys() and net.feature_info[0].stride == 2
    with torch.no_grad():
        assert net(images())[0].shape == (2, 256, 8, 8)


def test_darts_block_by_block_and_recomputed():
    torch.manual_seed(0)
    net = shake(CellNetwork("cells_darts_c16n8", genotype=DARTS, num_classes=5)).double()
    x = images(side=8).double()
    with torch.no_grad():
        y = net.stem(x)
        for stage in (net.layer1, net.layer2, net.layer3):
            for block in stage:
                y = block(y)
        assert torch.equal(net.head(y), net(x))
    gradients = []
    for net.with_cp in (False, True):
        net.train().zero_grad(set_to_none=True)
        net(x).square().mean().backward()
        gradients.append([p.grad for p in net.parameters() if p.grad is not None])
    for kept, anew in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, anew, rtol=0, atol=1e-12)


def test_a_first_stage_that_halves_is_refused():
    with pytest.raises(UserInputError, match="the first stage of cells_nats_c8n1 has nothing that halves"):
        CellNetwork("cells_nats_c8n1", strides=(2, 2, 2))


def test_widths_and_genotypes_of_others_are_refused():
    with pytest.raises(UserInputError, match="cells of cells_nats have none to choose"):
        CellNetwork("cells_nats", widths="8*5.16*6.32*6")
    with pytest.raises(UserInputError, match="2 cells, expected 1 in the space nats"):
        CellNetwork("cells_nats", genotype=DARTS_V2)
    with pytest.raises(UserInputError, match="expected one of nats"):
        CellNetwork("cells_nats", genotype=Genotype.parse(DARTS_V2))
    with pytest.raises(UserInputError, match="'' is no node"):
        CellNetwork("cells_nats", genotype="")


GENOTYPES = dict(zip(SMALL, (MIXED, DARTS), strict=True))


# ---- deployed


@pytest.mark.parametrize(("arch", "genotype"), GENOTYPES.items())
def test_deployed_it_puts_out_the_same_with_fewer_normalisations(arch, genotype):
    net = shake(CellNetwork(arch, genotype=genotype, out_indices=(1, 2)))
    deployed = deploy(net)
    kinds = [type(module) for module in deployed.modules()]
    assert FusedConv in kinds and torch.nn.Conv2d not in kinds
    assert kinds.count(torch.nn.BatchNorm2d) < [type(m) for m in net.modules()].count(torch.nn.BatchNorm2d)
    with torch.no_grad():
        for eager, fused in zip(net(images()), deployed(images()), strict=True):
            torch.testing.assert_close(fused, eager, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [dict(compile=True), dict(dtype=torch.bfloat16)])
def test_what_deployment_cannot_do_is_said(options):
    with pytest.raises(UserInputError, match="expected neither compile nor dtype"):
        deploy(torch.nn.Sequential(CellNetwork("cells_nats_c8n1")), **options)


# ---- cards


@pytest.mark.parametrize(("arch", "genotype"), GENOTYPES.items())
def test_a_card_goes_from_file_to_network(arch, genotype, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path))
    net = shake(CellNetwork(arch, genotype=genotype, num_classes=3))
    made = register_backbone(card(f"{arch}_mine.mine", genotype, arch), weights=net.state_dict(), licence="Apache-2.0")
    assert get_card(made.name) == made and verify_card(made).ok
    assert made.to_toml() == BackboneCard.parse(made.to_toml(), "x.toml").to_toml()
    assert made.parameters.count == sum(p.numel() for p in CellNetwork(arch, genotype=genotype).parameters())
    again = create_backbone(made.name, init="full", num_classes=3).eval()
    with torch.no_grad():
        assert torch.equal(again(images()), net(images()))
    assert str(again.genotype) == genotype
    assert any(genotype.split("/")[-1] in line for line in network_lines(made))


@pytest.mark.parametrize(("arch", "genotype"), GENOTYPES.items())
def test_timm_has_the_same_maps(arch, genotype):
    pytest.importorskip("timm")
    from backbones.timm_plugin import CLASSES

    made = CLASSES["cells"](card(f"{arch}_mine.mine", genotype, arch)).eval()
    ours = shake(CellNetwork(arch, genotype=genotype, out_indices=(0, 1, 2)))
    made.load_state_dict(ours.state_dict())
    with torch.no_grad():
        last, maps = made.forward_intermediates(images())
        for found, expected in zip([*maps, last], [*ours(images()), ours(images())[-1]], strict=True):
            assert torch.equal(found, expected)


def test_the_command_registers_a_genotype(command, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    options = ("register", "--name", "cells_nats_c8n1_mine.mine", "--arch", "cells_nats_c8n1")
    done = command("backbones.py", *options, "--genotype", MIXED)
    assert done.returncode == 0 and "is registered" in done.stdout
    assert str(get_card("cells_nats_c8n1_mine.mine").genotype) == MIXED
    for given, told in (((), "'network.genotype' is missing"), (("--genotype", NOTHING[1:]), "is no node, expected")):
        refused = command("backbones.py", *options, *given)
        assert refused.returncode == 2 and told in refused.stderr and refused.stderr.count("\n") == 1


def test_figures_of_other_cells_are_not_taken_for_these():
    from transfer.analysis.results import key_of

    assert key_of(card()) == key_of(card("cells_nats_c8n1_b.mine"))
    assert key_of(card()) != key_of(card(genotype=NOTHING))


def test_cards_without_cells_are_written_as_before():
    assert "genotype" not in get_card("preresnet20.cifar100").to_toml()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", "'network.genotype' is missing, expected one of the space nats"),
        ('genotype = "|none~0|"', "'network.genotype': genotype '|none~0|': the cell has 1 nodes, expected 3"),
        (f'genotype = "{DARTS_V2}"', "it is one of the space darts, expected one of nats"),
        ("genotype = 3", "'network.genotype' is 3, expected text"),
        (f'genotype = "{MIXED}"\nwidths = "4.8*2.16*2"', "'network.widths' is '4.8*2.16*2', but the cells"),
        (f'genotype = "{MIXED}"\nattention = "se"\nsharing = "stage"\nscheme = "1.11.11"', "no self-attention modules"),
    ],
)
def test_cards_that_do_not_fit_are_refused(lines, told):
    text = card().to_toml().replace(f'genotype = "{MIXED}"', lines)
    with pytest.raises(UserInputError) as error:
        BackboneCard.parse(text, "card.toml")
    assert told in str(error.value)
    assert str(error.value).startswith("card.toml: key 'network.") and "\n" not in str(error.value)


def test_a_genotype_is_refused_where_there_are_no_cells():
    with pytest.raises(UserInputError, match=r"'network\.genotype' is .*, but preresnet20 has no searched cells"):
        replace(get_card("preresnet20.cifar100"), genotype=Genotype.parse(MIXED))
    assert ARCHITECTURES["preresnet20"].space is None
