"""Registered backbones inside mmsegmentation's EncoderDecoder."""

from __future__ import annotations

import importlib.machinery
import itertools
from dataclasses import replace

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import convert_sync_batchnorm
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from torch import nn

from backbones.arch import ARCHITECTURES
from backbones.card import INPUTS, BackboneCard, Provenance
from backbones.errors import RunError, UserInputError
from backbones.registry import get_card
from backbones.scheme import ConnectionScheme

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mmseg_scope")]

CLASSES = 5
BN = dict(type="BN", requires_grad=True)
HEADS = {
    "psp": dict(type="PSPHead", pool_scales=(1, 2, 3, 6)),
    "fcn": dict(type="FCNHead", num_convs=1),
    "aspp": dict(type="ASPPHead", dilations=(1, 2, 4)),
    "separable": dict(type="DepthwiseSeparableASPPHead", dilations=(1, 2, 4), c1_in_channels=None, c1_channels=4),
    "uper": dict(type="UPerHead", pool_scales=(1, 2, 3, 6)),
}
STRIDES = (8, 16, 32)
ARCHS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet38", "resnet20_basic")
SAMS = {"none": None, "se": {"reduction": 4}, "sge": {"groups": 4}, "dia": {"reduction": 4}}


@pytest.fixture(scope="module", autouse=True)
def tiny_cards(tmp_path_factory):
    """Cards `<arch>_<sam>.tiny` of all depths at an eighth of their width, SAMs in every second block."""
    folder = tmp_path_factory.mktemp("cards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFER_CARDS", str(folder))
        for arch in ARCHS:
            spec = ARCHITECTURES[arch]
            divisor = 8 if spec.stem == "imagenet" else 2
            spec = replace(spec, widths=tuple(width // divisor for width in spec.widths))
            patch.setitem(ARCHITECTURES, arch, spec)
            for sam, arguments in SAMS.items():
                bits = "10" * sum(spec.depths)
                scheme = ConnectionScheme.parse(bits[: sum(spec.depths)], depths=spec.depths)
                card = BackboneCard(
                    name=f"{arch}_{sam}.tiny",
                    arch=arch,
                    scheme=scheme if arguments else ConnectionScheme.empty(spec.depths),
                    input=INPUTS[spec.stem],
                    provenance=Provenance("hand", "the tests"),
                    attention=sam if arguments else None,
                    attention_args=arguments or {},
                )
                (folder / f"{card.name}.toml").write_text(card.to_toml())
        yield


def pairwise(*factors):
    """Rows in which every pair of values of two factors comes up, chosen greedily."""
    places = list(itertools.combinations(range(len(factors)), 2))

    def pairs(row):
        return {(i, j, row[i], row[j]) for i, j in places}

    left = set().union(*map(pairs, itertools.product(*factors)))
    while left:
        row = max(itertools.product(*factors), key=lambda row: len(pairs(row) & left))
        left -= pairs(row)
        yield row


def segmentor(head, stride, arch, sam):
    """An EncoderDecoder at tiny size, with an auxiliary FCN head on the stage before the last."""
    spec = ARCHITECTURES[arch]
    cifar = {"stem_stride": 4 if stride > 8 else 2} if spec.stem == "cifar" else {}
    stages = tuple(range(len(spec.depths)))
    last = stages[-1]
    common = dict(channels=8, num_classes=CLASSES, norm_cfg=BN, align_corners=False)
    single = dict(in_channels=spec.channels[last], in_index=last)
    several = dict(in_channels=list(spec.channels), in_index=list(stages))
    decode = {**HEADS[head], **common, **(several if head == "uper" else single)}
    if head == "separable":
        decode["c1_in_channels"] = spec.channels[0]
    auxiliary = dict(type="FCNHead", num_convs=1, concat_input=False, **common)
    auxiliary |= dict(in_channels=spec.channels[last - 1], in_index=last - 1)
    return dict(
        type="EncoderDecoder",
        backbone=dict(
            type="RegisteredBackbone", name=f"{arch}_{sam}.tiny", out_indices=stages, output_stride=stride, **cifar
        ),
        decode_head=decode,
        auxiliary_head=auxiliary,
        test_cfg=ConfigDict(mode="whole"),
    )


def batch(size, count=2):
    """Pictures (count, 3, size, size) and samples with random masks, a tenth of the pixels ignored."""
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(count):
        shape = (size, size)
        sample = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, pad_shape=shape))
        mask = torch.randint(0, CLASSES, (1, *shape), generator=generator)
        mask[torch.rand(mask.shape, generator=generator) < 0.1] = 255
        sample.gt_sem_seg = PixelData(data=mask)
        samples.append(sample)
    return torch.randn(count, 3, size, size, generator=generator), samples


def total(losses):
    return sum(value.mean() for key, value in losses.items() if "loss" in key)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("head", "stride", "arch", "sam"), list(pairwise(HEADS, STRIDES, ARCHS, SAMS)))
def test_heads_strides_depths_and_sams_train_and_predict(head, stride, arch, sam):
    torch.manual_seed(0)
    model = MODELS.build(segmentor(head, stride, arch, sam))
    reached = 16 if stride == 32 and len(ARCHITECTURES[arch].depths) == 3 else stride
    assert model.backbone.feature_info[-1].stride == reached
    assert any("attention." in name for name, _ in model.named_parameters()) == (sam != "none")
    inputs, samples = batch(48)
    losses = model(inputs, samples, mode="loss")
    assert {"decode.loss_ce", "aux.loss_ce"} <= set(losses)
    total(losses).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without
    model.eval()
    with torch.no_grad():
        predicted = model(inputs, samples, mode="predict")
    assert predicted[0].pred_sem_seg.data.shape == (1, 48, 48)
    assert predicted[1].seg_logits.data.shape == (CLASSES, 48, 48)
    assert all(sample.seg_logits.data.isfinite().all() for sample in predicted)


def test_sge_on_maps_of_one_pixel_is_defined():
    model = MODELS.build(segmentor("fcn", 32, "resnet18", "sge"))
    inputs, samples = batch(32)
    assert model.extract_feat(inputs)[-1].shape[2:] == (1, 1)
    total(model(inputs, samples, mode="loss")).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("head", "refused"), [("psp", True), ("aspp", True), ("uper", True), ("fcn", False)])
def test_one_picture_a_step_is_refused_where_a_head_normalises_one_value(head, refused):
    from tasks.segmentation.hooks import check_batch

    model = MODELS.build(segmentor(head, 8, "resnet18", "none"))
    check_batch(model, 2)
    inputs, samples = batch(32, count=1)
    if not refused:
        check_batch(model, 1)
        total(model(inputs, samples, mode="loss")).backward()
        return
    with pytest.raises(ValueError, match="more than 1 value per channel"):  # what the line spares the user
        model(inputs, samples, mode="loss")
    with pytest.raises(UserInputError, match=r"batch_size=1: \w+Head .*2 or more pictures") as error:
        check_batch(model, 1)
    assert "\n" not in str(error.value)


def test_a_head_of_compiled_operators_says_so_in_one_line():
    mmcv = pytest.importorskip("mmcv")
    if importlib.machinery.PathFinder.find_spec("mmcv._ext", mmcv.__path__):
        pytest.skip("the compiled mmcv is installed")
    config = segmentor("fcn", 8, "resnet18", "none")
    config["decode_head"] |= dict(type="PSAHead", mask_size=(5, 5))
    del config["decode_head"]["num_convs"]
    model = MODELS.build(config)
    inputs, samples = batch(32)
    with pytest.raises(RunError, match=r"psamask\w* is compiled code that mmcv-lite lacks: install mmcv") as error:
        model(inputs, samples, mode="loss")
    assert "\n" not in str(error.value)


def test_synchronised_batch_normalisation_is_the_same_network():
    model = MODELS.build(segmentor("psp", 8, "resnet18", "se")).eval()
    inputs, _ = batch(32)
    with torch.no_grad():
        before, keys = model(inputs, mode="tensor"), list(model.state_dict())
        model = convert_sync_batchnorm(model, "torch").eval()  # a runner sets the mode after it
        after = model(inputs, mode="tensor")
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms and all(isinstance(m, nn.SyncBatchNorm) for m in norms)
    assert isinstance(model.backbone.layer1[0].bn1, nn.SyncBatchNorm), "the network itself is converted"
    assert list(model.state_dict()) == keys and torch.equal(before, after)
    model.train()
    assert all(m.training for m in norms)


def test_cpus_do_without_synchronisation():
    from mmengine.config import Config

    from transfer.engine.runner_setup import prepare

    for launcher, kept in (("none", "torch"), ("pytorch", None)):
        config = Config(dict(sync_bn="torch", model=dict()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mmengine.device.utils.DEVICE", "cpu")
            prepare(config, work_dir="unused", launcher=launcher, training=False)
        assert config.get("sync_bn") == kept


@pytest.mark.parametrize("arch", ["resnet18", "resnet38"])
def test_statistics_are_the_cards_unless_the_config_says_others(arch):
    config = segmentor("fcn", 8, arch, "none")
    config["data_preprocessor"] = ConfigDict(type="SegDataPreProcessor", bgr_to_rgb=True)
    preprocessor, card = MODELS.build(config).data_preprocessor, get_card(config["backbone"]["name"])
    assert preprocessor.mean.flatten().tolist() == pytest.approx([255 * m for m in card.mean])
    assert preprocessor.std.flatten().tolist() == pytest.approx([255 * s for s in card.std])
    config["data_preprocessor"] |= dict(mean=[1, 2, 3], std=[4, 5, 6])
    assert MODELS.build(config).data_preprocessor.mean.flatten().tolist() == [1, 2, 3]
