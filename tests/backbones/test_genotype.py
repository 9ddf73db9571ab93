"""Genotypes as text and back, and what is refused."""

import random

import pytest

from backbones.errors import UserInputError
from backbones.genotype import SPACES, Genotype

NATS = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
NODE = "|sep_conv_3x3~0|sep_conv_3x3~1|"
DARTS = "+".join([NODE] * 4) + "/" + "+".join(["|max_pool_3x3~0|skip_connect~1|"] * 4)


def drawn(space, seed):
    """Any genotype of a space."""
    draw = random.Random(seed)

    def node(number):
        earlier = list(range(space.inputs + number))
        sources = earlier if space.kept is None else draw.sample(earlier, space.kept)
        return tuple((draw.choice(space.operations), source) for source in sources)

    return Genotype(space.name, tuple(tuple(map(node, range(space.nodes))) for _ in space.cells))


@pytest.mark.parametrize("space", SPACES)
def test_any_genotype_reads_back(space):
    for seed in range(200):
        genotype = drawn(SPACES[space], seed)
        assert Genotype.parse(str(genotype)) == genotype == Genotype.parse(str(genotype), space)
        assert str(Genotype.parse(str(genotype))) == str(genotype)
        assert hash(Genotype.parse(str(genotype))) == hash(genotype)


def test_text_is_nats_benchs():
    assert str(Genotype.parse(NATS)) == NATS


@pytest.mark.parametrize(("space", "edges", "operations"), [("nats", 6, 5), ("darts", 14, 8)])
def test_spaces_are_the_papers(space, edges, operations):
    assert len(SPACES[space].edges) == edges and len(set(SPACES[space].operations)) == operations


def test_the_order_of_a_nodes_edges_means_nothing():
    turned = DARTS.replace(NODE, "|sep_conv_3x3~1|sep_conv_3x3~0|")
    assert turned != DARTS and Genotype.parse(turned) == Genotype.parse(DARTS) and str(Genotype.parse(turned)) == DARTS


def test_shares_of_operations():
    genotype = Genotype.parse(DARTS)
    assert [genotype.share(name) for name in ("sep_conv_3x3", "skip_connect", "none")] == [0.5, 0.25, 0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NATS.replace("nor_conv_1x1", "nor_conv_2x2"), "node 3 of the cell has 'nor_conv_2x2'.*Did you mean 'nor_conv"),
        (NATS.replace("none~2|", "none~2|none~2|"), "edges from 0, 1, 2, 2, expected one from each of 0, 1, 2"),
        (NATS.replace("|none~2|", "|"), "edges from 0, 1, expected one from each of 0, 1, 2"),
        (NATS.replace("none~2", "none~3"), "edges from 0, 1, 3, expected"),
        (NATS + "+|none~0|", "the cell has 4 nodes, expected 3"),
        (NATS.partition("+")[2], "the cell has 2 nodes, expected 3"),
        (NATS[:-1], "is no node, expected edges such as"),
        (NATS[1:], "is no node"),
        (NATS.replace("~", "-"), "is no node"),
        (NATS.replace("+", ""), "is no node"),
        (NATS.replace("~0", "~-1"), "is no node"),
        (NATS.replace("~0", "~²"), "is no node"),
        ("", "'' is no node"),
        ("|", "'|' is no node"),
        ("100.1011", "is no node"),
        (DARTS + "/" + NATS, "3 cells, expected 2 in the space darts: normal and reduction"),
        (DARTS.replace("max_pool_3x3", "nor_conv_1x1"), "node 1 of the reduction cell has 'nor_conv_1x1'"),
        (DARTS.replace("skip_connect~1", "skip_connect~0"), "edges from 0, 0, expected 2 from different ones of 0, 1"),
        (DARTS.replace("skip_connect~1", "skip_connect~2"), "node 1 of the reduction cell has edges from 0, 2"),
        (DARTS.replace("|skip_connect~1", "", 1), "edges from 0, expected 2 from different"),
    ],
)
def test_other_text_is_refused_in_one_line(text, told):
    with pytest.raises(UserInputError, match=told) as error:
        Genotype.parse(text)
    assert str(error.value).startswith("genotype '") and "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("text", "space", "told"), [(NATS, "darts", "1 cells, expected 2"), (DARTS, "nats", "2 cells")]
)
def test_a_genotype_of_another_space_is_refused(text, space, told):
    with pytest.raises(UserInputError, match=told):
        Genotype.parse(text, space)
    with pytest.raises(UserInputError, match=f"expected one of {space}"):
        Genotype.parse(text).check(space)


def test_an_unknown_space_is_refused():
    with pytest.raises(UserInputError, match=r"cell space 'nat' is unknown, .* Did you mean 'nats'"):
        Genotype("nat", ())
