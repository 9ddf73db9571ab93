"""Connection schemes: notation, the authors' integers, statistics, refusals."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme

RESNET50 = (3, 4, 6, 3)


@pytest.mark.parametrize(
    ("text", "codes"), [("100.1011.010011.011", (4, 11, 19, 3)), ("110.0011.110010.011", (6, 3, 50, 3))]
)
def test_published_imagenet_schemes(text, codes):
    scheme = ConnectionScheme.parse(text, RESNET50)
    assert scheme == ConnectionScheme.from_codes(codes, RESNET50)
    assert scheme == ConnectionScheme.parse(text.replace(".", ""), depths=RESNET50)
    assert (scheme.codes, str(scheme), scheme.connected, scheme.total) == (codes, text, 9, 16)
    assert scheme.ratio == 9 / 16
    assert scheme.sparsity == 7 / 16


def test_all_ones_has_the_authors_default_codes():
    assert ConnectionScheme.full(RESNET50).codes == (7, 15, 63, 7)
    assert ConnectionScheme.empty(RESNET50).connected == 0


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=20), min_size=1, max_size=5))
def test_every_notation_reads_back(stages):
    scheme = ConnectionScheme(tuple(map(tuple, stages)))
    assert ConnectionScheme.parse(str(scheme)) == scheme
    assert ConnectionScheme.from_codes(scheme.codes, scheme.depths) == scheme
    assert ConnectionScheme.from_bits(scheme.bits, scheme.depths) == scheme
    assert scheme.complement().complement() == scheme
    assert scheme.connected + scheme.complement().connected == scheme.total
    assert hash(ConnectionScheme.parse(str(scheme))) == hash(scheme)


def test_random_follows_the_generator_and_beta():
    draw = [ConnectionScheme.random((18, 18, 18), 0.2, torch.Generator().manual_seed(s)) for s in range(200)]
    again = [ConnectionScheme.random((18, 18, 18), 0.2, torch.Generator().manual_seed(s)) for s in range(200)]
    assert draw == again
    assert sum(s.ratio for s in draw) / 200 == pytest.approx(0.2, abs=0.02)
    assert ConnectionScheme.random((3, 3), 1.0) == ConnectionScheme.full((3, 3))
    assert ConnectionScheme.random((3, 3), 0.0) == ConnectionScheme.empty((3, 3))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ConnectionScheme.parse("100.101.010011.011", RESNET50), r"stage 2 has 3 bits, expected 4"),
        (lambda: ConnectionScheme.parse("100.1011.010011", RESNET50), r"3 stages, expected 4"),
        (lambda: ConnectionScheme.parse("1001", depths=RESNET50), r"of 4 bits.*need 16"),
        (lambda: ConnectionScheme.parse("10a.1011"), r"expected 0 and 1"),
        (lambda: ConnectionScheme.parse("10..11"), r"empty"),
        (lambda: ConnectionScheme.parse(""), r"expected 0 and 1"),
        (lambda: ConnectionScheme.from_codes((4, 11, 19), RESNET50), r"3 codes for 4 stages"),
        (lambda: ConnectionScheme.from_codes((8, 11, 19, 3), RESNET50), r"code 8 of stage 1.*0 to 7"),
        (lambda: ConnectionScheme(((1, 2),)), r"stage 1 holds"),
        (lambda: ConnectionScheme.random(RESNET50, 1.5), r"beta=1.5"),
    ],
)
def test_wrong_schemes_are_refused_by_name(make, told):
    with pytest.raises(UserInputError, match=told):
        make()
