"""The prefix trie: every scheme once, every distinct prefix once."""

import itertools

import pytest
import torch

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.supernet._trie import SchemeTrie


def everything(depths):
    return [ConnectionScheme.from_bits(bits, depths) for bits in itertools.product((0, 1), repeat=sum(depths))]


def walk(node, prefix=()):
    yield prefix, node
    for bit, child in node.children:
        yield from walk(child, (*prefix, bit))


def prefixes(schemes):
    return {scheme.bits[:k] for scheme in schemes for k in range(scheme.total + 1)}


@pytest.mark.parametrize("count", [1, 2, 3, 17, 200])
def test_holds_the_distinct_prefixes_and_nothing_else(count):
    generator = torch.Generator().manual_seed(count)
    schemes = [ConnectionScheme.random((3, 2, 4), 0.5, generator) for _ in range(count)]
    trie = SchemeTrie(schemes + schemes[::-1])
    nodes = list(walk(trie.root))
    assert [prefix for prefix, _ in nodes] == sorted(prefixes(schemes))
    assert trie.inner == sum(node.leaf is None for _, node in nodes)
    assert trie.alone == 9 * len(set(schemes))
    for prefix, node in nodes:
        assert node.position == len(prefix)
        assert (node.leaf is not None) == (len(prefix) == 9)
        if node.leaf is not None:
            assert trie.schemes[node.leaf].bits == prefix
    assert set(trie.schemes) == set(schemes) and len(trie.schemes) == len(set(schemes))


def test_all_schemes_of_twelve_blocks_need_a_twelfth():
    trie = SchemeTrie(everything((4, 4, 4)))
    assert (trie.inner, trie.alone) == (4095, 49_152)
    assert trie.alone / trie.inner > 12


def test_one_flip_neighbours_share_half():
    base = ConnectionScheme.full((18, 18, 18)).bits
    flips = [ConnectionScheme.from_bits([b ^ (i == j) for j, b in enumerate(base)], (18, 18, 18)) for i in range(54)]
    trie = SchemeTrie(flips)
    assert trie.inner == 54 + sum(range(54))  # the trunk of the full scheme, and a tail from each flip on


def test_refuses_nothing_and_mixtures():
    with pytest.raises(UserInputError, match="at least one"):
        SchemeTrie([])
    with pytest.raises(UserInputError, match="expected 2"):
        SchemeTrie([ConnectionScheme.full((2, 2)), ConnectionScheme.full((2, 3))])
