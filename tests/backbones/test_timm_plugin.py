"""Registered backbones answer as timm's own models do, and work where timm's models do."""

import copy
import json
import pickle

import pytest
import torch
from card_files import every_card, shake, small_card

import backbones
from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.registry import build, get_card, register_backbone
from backbones.weights import load_weights, save_safetensors

timm = pytest.importorskip("timm", reason="timm is not installed (extra timm)")

from timm.models._manipulate import group_parameters  # noqa: E402

from backbones import timm_plugin  # noqa: E402

WITH_WEIGHTS = backbones.list_backbones(pretrained=True)
SHARED = "resnet50_share_ean_sge.imagenet"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's own cards."""
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    return tmp_path / "cards"


def known_as(name):
    return timm_plugin.timm_name(get_card(name))


def create(name, **options):
    return timm.create_model(known_as(name), **options)


def images(name, channels=3):
    side = 64 if get_arch(get_card(name).arch).stem == "imagenet" else 32
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))


# ---- every card


@pytest.mark.parametrize("name", every_card())
def test_outputs_are_those_of_the_backbone(name):
    theirs = shake(create(name, num_classes=7))
    mine = build(get_card(name), num_classes=7).eval()
    mine.load_state_dict(theirs.state_dict())
    x = images(name)
    with torch.no_grad():
        assert torch.equal(theirs(x), mine(x))
        assert torch.equal(theirs.forward_head(theirs.forward_features(x)), mine(x))
        mine = build(get_card(name), out_indices=range(len(mine.arch.depths))).eval()
        load_weights(mine, theirs.state_dict(), init="full")
        last, maps = theirs.forward_intermediates(x)
        wanted = mine(x)
    assert torch.equal(last, wanted[-1])
    assert all(torch.equal(a, b) for a, b in zip(maps[-len(wanted) :], wanted, strict=True))


@pytest.mark.parametrize("name", every_card())
def test_features_are_as_feature_info_says(name):
    check_features(name, {})


@pytest.mark.parametrize("name", [SHARED, WITH_WEIGHTS[-1]])
def test_features_of_hooks_are_the_same(name):
    check_features(name, {"feature_cls": "hook"})


def check_features(name, options):
    x = images(name)
    model = create(name, features_only=True, **options).eval()
    maps, info = model(x), model.feature_info
    assert [m.shape[1] for m in maps] == info.channels()
    assert [x.shape[-1] // m.shape[-1] for m in maps] == info.reduction()
    assert len(set(info.reduction())) == len(maps) >= len(get_arch(get_card(name).arch).depths)
    some = create(name, features_only=True, out_indices=(0, -2), **options)
    assert [m.shape for m in some.eval()(x)] == [maps[0].shape, maps[-2].shape]


@pytest.mark.parametrize("name", every_card())
def test_every_parameter_learns_and_belongs_to_a_group(name):
    model = create(name, num_classes=3)
    shake(model).train()
    model(images(name)).square().mean().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    for coarse in (False, True):
        groups = group_parameters(model, model.group_matcher(coarse=coarse))
        depth = {key: group for group, keys in groups.items() for key in keys}
        assert set(depth) == {key for key, _ in model.named_parameters()}
        for key in depth:
            if key.startswith("attention.") and coarse:
                assert depth[key] == depth[f"{key.split('.')[1]}.0.conv1.weight"], "a SAM goes with its stage"
    assert model.no_weight_decay() == set()


@pytest.mark.parametrize("name", [SHARED, WITH_WEIGHTS[-1]])
def test_the_classifier_is_replaced(name):
    model, x = create(name, num_classes=5).eval(), images(name)
    width = model.num_features
    assert model.get_classifier().out_features == model(x).shape[1] == model.num_classes == 5
    assert model.get_classifier(name_only=True) == "fc"
    assert model.forward_head(model.forward_features(x), pre_logits=True).shape == (2, width)
    model.reset_classifier(0)
    assert model(x).shape == (2, width) and isinstance(model.get_classifier(), torch.nn.Identity)
    model.reset_classifier(0, "")
    assert torch.equal(model(x), model.forward_features(x))
    model.reset_classifier(4, "catavgmax")
    assert model(x).shape == (2, 4) and model.head_hidden_size == 2 * width
    assert create(name, num_classes=0).eval()(x).shape == (2, width)


@pytest.mark.parametrize("name", every_card())
def test_data_config_is_the_cards(name):
    card = get_card(name)
    with torch.device("meta"):
        config = timm.data.resolve_model_data_config(create(name))
    assert config["mean"] == card.mean and config["std"] == card.std
    assert config["input_size"] == (3, card.input.size, card.input.size)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_stride_dilates(stride):
    model = create(SHARED, features_only=True, output_stride=stride).eval()
    x = images(SHARED)
    assert model.feature_info.reduction() == [2, 4, 8, *[min(s, stride) for s in (16, 32)]]
    assert [x.shape[-1] // m.shape[-1] for m in model(x)] == model.feature_info.reduction()


# ---- one card is enough


def test_names_are_listed_with_and_without_tag():
    assert {"resnet50_share_ean_sge", "resnet38_share_ean_se"} <= set(timm.list_models("*share_ean*"))
    assert {known_as(name) for name in backbones.list_backbones()} <= set(timm.list_models(include_tags=True))
    assert {known_as(name) for name in WITH_WEIGHTS} <= set(timm.list_models(pretrained=True))
    assert known_as(SHARED) not in timm.list_models(pretrained=True)


def test_timms_own_networks_stay_its_own():
    assert not isinstance(timm.create_model("resnet50"), timm_plugin.TimmBackbone)
    assert isinstance(timm.create_model("ean_resnet50.imagenet"), timm_plugin.TimmBackbone)
    timm_plugin.register_backbones()
    assert timm_plugin.timm_name(get_card("resnet50.imagenet")) == "ean_resnet50.imagenet", "once more changes nothing"
    assert not isinstance(timm.create_model("resnet50"), timm_plugin.TimmBackbone)


def test_a_tag_names_the_scheme_and_no_tag_the_default():
    schemes = {name: str(get_card(name).scheme) for name in backbones.list_backbones("resnet38_share_ean_se.*")}
    assert len(set(schemes.values())) == len(schemes) > 1
    assert {name: str(create(name).scheme) for name in schemes} == schemes
    assert timm.create_model("resnet38_share_ean_se").scheme == get_card("resnet38_share_ean_se").scheme


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_pretrained_weights_are_the_cards(name):
    x = images(name)
    mine = backbones.create_backbone(name, init="full", num_classes=100).eval()
    theirs = create(name, pretrained=True).eval()
    assert torch.equal(theirs(x), mine(x)) and theirs.num_classes == 100
    grey = create(name, pretrained=True, in_chans=1, num_classes=2)
    assert torch.allclose(grey.conv1.weight, mine.conv1.weight.sum(1, keepdim=True), atol=1e-6)
    assert torch.equal(grey.layer1[0].conv1.weight, mine.layer1[0].conv1.weight)
    maps = create(name, pretrained=True, features_only=True).eval()(x)
    wanted = backbones.create_backbone(name, init="full", out_indices=(0, 1, 2)).eval()(x)
    assert all(torch.equal(a, b) for a, b in zip(maps, wanted, strict=True))


def test_without_weights_it_says_where_they_come_from():
    with pytest.raises(UserInputError, match=r"comes without weights.*init='trunk'.*register --weights") as error:
        create(SHARED, pretrained=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"feature_cls": "list", "features_only": True}, "feature_cls='list': expected 'getter' or 'hook'"),
        ({"out_indices": (1,)}, "features_only=True"),
        ({"drop_path_rat": 0.1}, "option 'drop_path_rat' is unknown"),
        ({"output_stride": 3}, "output_stride=3"),
    ],
)
def test_wrong_options_are_one_line(options, told):
    with pytest.raises(UserInputError, match=told) as error:
        create(SHARED, **options)
    assert "\n" not in str(error.value)


def test_unknown_tags_have_a_nearest_one():
    with pytest.raises(UserInputError, match=f"Did you mean '{SHARED}'"):
        timm.create_model(SHARED[:-1])


def test_of_ones_own_cards_those_of_later_too(own):
    register_backbone(small_card("resnet20_later.mine"))
    assert not timm.models.is_model("resnet20_later")
    assert "resnet20_later.mine" in timm_plugin.register_backbones()
    assert timm.create_model("resnet20_later", in_chans=4)(torch.randn(2, 4, 8, 8)).shape == (2, 256)


def test_a_broken_card_does_not_hide_the_others(own, caplog):
    own.mkdir()
    (own / "resnet20.broken.toml").write_text("name = 3")
    assert SHARED in timm_plugin.register_backbones()
    assert "resnet20.broken.toml" in caplog.text


def test_biases_of_convolutions_are_folded(own):
    card = small_card("resnet20_share_se.biased")
    given = shake(build(card, num_classes=3, conv_bias=True))
    register_backbone(card, weights=given.state_dict())
    timm_plugin.register_backbones()
    model, x = create(card.name, pretrained=True).eval(), torch.randn(2, 3, 32, 32)
    assert torch.allclose(model(x), given(x), atol=1e-4)


@pytest.mark.parametrize("name", [WITH_WEIGHTS[-1], SHARED])
@pytest.mark.parametrize("options", [{}, {"num_classes": 4, "in_chans": 2, "output_stride": 4}])
def test_a_saved_model_comes_back(tmp_path, name, options):
    if options and "imagenet" in name:
        options = {**options, "output_stride": 8}
    model = shake(create(name, **options))
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    x = images(name, options.get("in_chans", 3))
    assert torch.equal(again(x), model(x)) and again.scheme == model.scheme


@pytest.mark.parametrize("damage", ["missing", "foreign", "nan"])
def test_saved_weights_that_do_not_fit_are_refused(tmp_path, damage):
    """timm itself loads leniently where the classifier differs, and would leave what is missing as it was drawn."""
    model = create(WITH_WEIGHTS[-1])
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True)
    state = model.state_dict()
    if damage == "missing":
        del state["layer1.0.conv1.weight"]
    elif damage == "foreign":
        state["layer9.0.conv1.weight"] = torch.ones(1)
    else:
        state["layer1.0.conv1.weight"][0] = float("nan")
    save_safetensors(state, tmp_path / "model.safetensors")
    with pytest.raises(UserInputError, match=r"layer\d.0.conv1.weight") as error:
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=3)
    assert "\n" not in str(error.value)


def test_a_trunks_file_is_loaded_into_it(tmp_path):
    plain = shake(timm.create_model("resnet50", num_classes=2))
    report = load_weights(create(SHARED, num_classes=0), plain.state_dict(), init="trunk")
    assert report.clean and "fc.weight" in report.not_needed


def test_dropout_is_before_the_classifier():
    model = create(WITH_WEIGHTS[-1], drop_rate=1.0, num_classes=3).train()
    assert torch.equal(model(images(WITH_WEIGHTS[-1])), model.fc.bias.expand(2, 3))
    assert not torch.equal(model.eval()(images(WITH_WEIGHTS[-1])), model.fc.bias.expand(2, 3))


def test_recomputed_gradients_are_the_same():
    model, x = create(WITH_WEIGHTS[-1], num_classes=3).train(), images(WITH_WEIGHTS[-1])
    found = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x).square().sum().backward()
        found.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


def test_stages_behind_the_last_map_are_gone():
    model = create(SHARED, features_only=True, out_indices=(1, 2))
    keys = {key.split(".")[1] for key in model.state_dict() if not key.startswith("model.attention")}
    assert keys == {"conv1", "bn1", "layer1", "layer2"}
    assert {key.split(".")[2] for key in model.state_dict() if "attention" in key} <= {"layer1", "layer2"}
    (stem,) = create(SHARED, features_only=True, out_indices=(0,)).eval()(images(SHARED))
    assert stem.shape == (2, 64, 32, 32)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_answer_alike(copied):
    model, x = create(WITH_WEIGHTS[-1]).eval(), images(WITH_WEIGHTS[-1])
    again = copied(model)
    assert torch.equal(again(x), model(x))
    assert json.dumps(again.pretrained_cfg) == json.dumps(model.pretrained_cfg)


@pytest.mark.slow
@pytest.mark.parametrize("features_only", [False, True])
def test_it_exports(features_only):
    model, x = create(WITH_WEIGHTS[-1], features_only=features_only).eval(), images(WITH_WEIGHTS[-1])
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: batch},))
    x = torch.cat([x, x])
    for found, wanted in zip(program.module()(x), model(x), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.slow
def test_it_is_deployed_as_any_other_network():
    from transfer.deploy import deploy

    model, x = shake(create(SHARED, num_classes=3)), images(SHARED)
    wanted = model(x)
    torch.testing.assert_close(deploy(model)(x), wanted, rtol=1e-3, atol=1e-4)


# ---- segmentation_models.pytorch


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Unet", "DeepLabV3Plus"])
def test_encoders_of_segmentation_models_pytorch(kind):
    smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    model = getattr(smp, kind)(f"tu-{SHARED}", encoder_weights=None, classes=3)
    out = model.train()(images(SHARED))
    assert out.shape == (2, 3, 64, 64)
    out.square().mean().backward()
    grown = [p.grad for p in model.encoder.parameters()]
    assert all(g is not None and g.isfinite().all() for g in grown) and any(g.abs().sum() > 0 for g in grown)
    assert any(".attention." in key for key in model.encoder.state_dict())


@pytest.mark.slow
def test_small_encoders_with_weights_of_segmentation_models_pytorch():
    smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    name = WITH_WEIGHTS[-1]
    model = smp.Unet(f"tu-{name}", encoder_weights=True, encoder_depth=2, decoder_channels=(32, 16), classes=3)
    assert model.eval()(images(name)).shape == (2, 3, 32, 32)
    mine = backbones.create_backbone(name, init="full")
    assert torch.equal(model.encoder.model.model.conv1.weight, mine.conv1.weight)
    assert smp.encoders.get_preprocessing_params(f"tu-{name}")["mean"] == list(get_card(name).mean)
