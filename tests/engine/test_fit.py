"""What a task needs of a backbone, as options of any network."""

import itertools

import pytest

from backbones.arch import ARCHITECTURES, get_arch
from backbones.errors import UserInputError
from backbones.options import TrunkOptions
from backbones.registry import create_backbone, get_card
from transfer.engine.fit import features_of, fit_stride, possible_init


@pytest.mark.parametrize(
    ("arch", "last", "stride", "dilate", "expected"),
    [
        ("resnet50", 2, 8, False, dict(stem_stride=4, strides=(1, 2, 1))),  # C-3-Framework's Res50
        ("resnet50", 3, 8, True, dict(stem_stride=4, output_stride=8)),  # PSPNet's
        ("resnet50", 3, 32, True, dict(stem_stride=4)),
        ("resnet50", 3, 2, False, dict(stem_stride=2, strides=(1, 1, 1, 1))),
        ("resnet38", 2, 8, False, dict(stem_stride=2)),
        ("resnet38", 2, 8, True, dict(stem_stride=2)),
        ("resnet38", 2, 4, True, dict(stem_stride=1)),
        ("resnet38", 2, 2, False, dict(stem_stride=1, strides=(1, 2, 1))),
    ],
)
def test_strides_are_reached_as_the_field_does(arch, last, stride, dilate, expected):
    fitted = fit_stride(get_arch(arch), stride, dilate, out_indices=(last,))
    assert fitted == {"out_indices": (last,), **expected}


@pytest.mark.parametrize("dilate", [False, True])
@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_every_stage_gets_every_stride_that_it_can_have(arch, dilate):
    spec = get_arch(arch)
    for last, power in itertools.product(range(len(spec.depths)), range(7)):
        stride = 2**power
        if stride > 4 * 2**last:
            with pytest.raises(UserInputError, match=f"stride={stride}: stage {last + 1} .* up to {4 * 2**last}"):
                fit_stride(spec, stride, dilate, out_indices=(last,))
            continue
        options = TrunkOptions(spec, **fit_stride(spec, stride, dilate, out_indices=(last,)))
        assert options.feature_info[-1].stride == stride
        assert dilate or set(options.dilations) == {1}


def test_options_of_ones_own_are_kept_and_have_to_agree():
    arch = get_arch("resnet38")
    given = dict(stem_stride=2, strides=(1, 2, 2))
    assert fit_stride(arch, 8, **given) == given
    assert fit_stride(arch, None, stem_stride=1) == {"stem_stride": 1}
    with pytest.raises(UserInputError, match=r"stride=8, but .* give resnet38 stride 4; leave them out, or stride"):
        fit_stride(arch, 8, stem_stride=1)
    with pytest.raises(UserInputError, match="stride=12"):
        fit_stride(arch, 12)


def test_features_are_known_without_building():
    card = get_card("resnet38_share_ean_se.standin")
    expected = create_backbone(card.name, out_indices=(1, 2), stem_stride=2, norm_eval=True).feature_info
    assert features_of(card, out_indices=(-2, -1), stride=8, norm_eval=True) == expected


@pytest.mark.parametrize(
    ("name", "init", "expected"),
    [
        ("resnet50.imagenet", "trunk", "trunk"),
        ("resnet50.imagenet", "auto", "trunk"),
        ("resnet50.imagenet", "scratch", "scratch"),
        ("resnet38.cifar100", "trunk", "scratch"),
        ("resnet38.cifar100", "auto", "scratch"),
        ("resnet38.cifar100", "full", "full"),  # asked for by name: refused when it is loaded
        ("resnet38.c100_6ep", "trunk", "full"),
        ("resnet38.c100_6ep", "auto", "full"),
        ("resnet38.c100_6ep", "scratch", "scratch"),
    ],
)
def test_where_a_backbone_can_start_from(name, init, expected):
    assert possible_init(get_card(name), init) == expected
