"""The supernet of cells: a one-hot choice is the discretised network, and what weights say is chosen."""

import copy

import pytest
import torch
from card_files import shake

from backbones.errors import UserInputError
from backbones.genotype import SPACES, Genotype
from transfer.deploy import deploy
from transfer.search.cells.supernet import CellSupernet, MixedOperation, discretise
from transfer.search.cells.table import all_cells

pytestmark = pytest.mark.slow

ARCHS = {"nats": "cells_nats_c8n1", "darts": "cells_darts_c16n8"}
GENOTYPES = {
    "nats": [
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|",
        "|nor_conv_1x1~0|+|none~0|avg_pool_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|",
    ],
    "darts": [
        "|sep_conv_3x3~0|skip_connect~1|+|dil_conv_5x5~1|avg_pool_3x3~2|+|sep_conv_5x5~0|max_pool_3x3~3|+"
        "|skip_connect~2|dil_conv_3x3~3|/|skip_connect~0|sep_conv_3x3~1|+|max_pool_3x3~0|avg_pool_3x3~2|+"
        "|dil_conv_3x3~1|skip_connect~3|+|sep_conv_5x5~0|skip_connect~4|",
    ],
}
CASES = [(space, text) for space, texts in GENOTYPES.items() for text in texts]


def supernet(space, seed=0, **options):
    torch.manual_seed(seed)
    return CellSupernet(ARCHS[space], num_classes=5, **options)


def settled(net, seed=0):
    """Running statistics that no initialisation has; eval mode, float64."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return net.double().eval()


def images(side=8, count=3):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1)).double()


def one_hot(genotype):
    """Weights that choose exactly a genotype: `none` on edges that it has not."""
    space = SPACES[genotype.space]
    rows = []
    for cell in genotype.cells:
        chosen = {(node, source): name for node, edges in enumerate(cell) for name, source in edges}
        rows += [[float(name == chosen.get(edge, "none")) for name in space.operations] for edge in space.edges]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("space", "text"), CASES)
def test_one_hot_weights_are_the_discretised_network(space, text, training):
    genotype = Genotype.parse(text)
    net = settled(supernet(space))
    found = net.extract(discretise(one_hot(genotype), space))
    assert found.genotype == genotype and not found.supernet
    net.train(training), found.train(training)
    with torch.no_grad():
        mixed, alone = net(images(), one_hot(genotype)), found(images())
        assert mixed.std() > 1e-3
        torch.testing.assert_close(mixed, alone, rtol=0, atol=1e-10)
        shake(found)
        assert (found(images()) - alone).abs().max() > 1e-3, "the network has weights of its own"


@pytest.mark.parametrize("space", ARCHS)
def test_an_edge_is_the_sum_of_its_operations_by_weight(space):
    net = settled(supernet(space))
    mixed = next(module for module in net.modules() if isinstance(module, MixedOperation))
    weights = torch.rand(net.edges, len(SPACES[space].operations), dtype=torch.float64)
    x = torch.randn(2, mixed_channels(mixed), 6, 6, dtype=torch.float64)
    net._soft.rows = weights
    with torch.no_grad():
        expected = sum(w * run(x) for w, run in zip(weights[mixed.row], mixed.operations, strict=True))
        torch.testing.assert_close(mixed(x), expected, rtol=0, atol=1e-12)


def mixed_channels(mixed):
    return next(m.num_features for m in mixed.modules() if isinstance(m, torch.nn.BatchNorm2d))


@pytest.mark.parametrize("space", ARCHS)
def test_every_edge_gets_a_gradient_and_rows_are_the_edges_they_say(space):
    net = settled(supernet(space))
    alphas = net.initial_alphas(torch.Generator().manual_seed(0)).double().requires_grad_(True)
    net(images(), alphas.softmax(1)).square().sum().backward()
    assert (alphas.grad.abs().sum(1) > 0).all()
    rows = [module.row for module in net.layer2.modules() if isinstance(module, MixedOperation)]
    assert sorted(set(rows)) == list(range(net.edges))


def test_two_copies_share_alphas_and_nothing_else():
    net = settled(supernet("nats"))
    twin = copy.deepcopy(net)
    weights = one_hot(Genotype.parse(GENOTYPES["nats"][0]))
    with torch.no_grad():
        first = net(images(), weights)
        for parameter in twin.parameters():
            parameter.mul_(2)
        assert torch.equal(net(images(), weights), first) and not torch.equal(twin(images(), weights), first)


def test_without_weights_all_operations_are_alike():
    net = settled(supernet("nats"))
    with torch.no_grad():
        assert torch.equal(net(images()), net(images(), torch.full((6, 5), 0.2, dtype=torch.float64)))


def test_options_go_along():
    net = supernet("nats", stem_stride=4, in_channels=1, channels_last=True)
    found = net.extract(GENOTYPES["nats"][0])
    with torch.no_grad():
        x = torch.randn(2, 1, 32, 32)
        weights = one_hot(found.genotype).float()
        torch.testing.assert_close(found.eval()(x), net.eval()(x, weights), rtol=0, atol=1e-5)


# ---- discretisation


def test_every_cell_of_nats_can_be_found():
    for genotype in list(all_cells())[::7]:
        assert discretise(one_hot(genotype), "nats") == genotype


def test_darts_keeps_the_two_strongest_edges_and_never_none():
    space = SPACES["darts"]
    weights = torch.full((28, 8), 0.01)
    weights[:, 0] = 0.9  # none
    weights[space.edges.index((3, 4)), 5], weights[space.edges.index((3, 1)), 2] = 0.06, 0.05
    weights[14 + space.edges.index((2, 0)), 7] = 0.02
    normal, reduction = discretise(weights, "darts").cells
    assert normal[3] == (("avg_pool_3x3", 1), ("sep_conv_5x5", 4))
    assert normal[2] == (("max_pool_3x3", 0), ("max_pool_3x3", 1)), "the earlier ones of equals"
    assert reduction[2] == (("dil_conv_5x5", 0), ("max_pool_3x3", 1))


# ---- wrong input


def test_other_weights_are_refused_in_one_line():
    net = supernet("nats")
    for ask in (lambda weights: net(torch.zeros(1, 3, 8, 8), weights), lambda weights: discretise(weights, "nats")):
        with pytest.raises(UserInputError, match=r"shape \(28, 8\), expected \(6, 5\): a row for each edge"):
            ask(torch.ones(28, 8))
    with pytest.raises(UserInputError, match="some are not finite"):
        discretise(torch.full((6, 5), float("nan")), "nats")
    with pytest.raises(UserInputError, match="cell space 'x' is unknown"):
        discretise(torch.ones(6, 5), "x")


def test_a_supernet_is_not_deployed():
    with pytest.raises(UserInputError, match="a supernet cannot be deployed"):
        deploy(supernet("nats"))


# ---- size


def test_the_network_that_darts_searches_with_has_its_size():
    with torch.device("meta"):
        net = CellSupernet("cells_darts_c16n8", num_classes=10)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == 1_930_618, "NASLib tests its own for 1.930618 million"
