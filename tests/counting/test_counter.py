import copy

import numpy as np
import pytest
import torch
from counting_tiny import batch, counter
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from backbones.errors import RunError, UserInputError
from tasks.counting.tiling import MARGIN, grid, split
from transfer.deploy import deploy
from transfer.engine.training import train


def test_tensor_mode_gives_people_per_cell():
    model, x = counter().eval(), torch.randn(2, 3, 16, 24)
    raw = model.head(model.backbone(x))
    torch.testing.assert_close(model(x), raw * 64 / 100)
    assert model(x).shape == (2, 1, 2, 3) and model.stride == 8


@pytest.mark.parametrize(("index", "stride", "channels"), [(0, 4, 4), (1, 8, 6), (-1, 8, 6)])
def test_the_head_takes_the_selected_feature_map(index, stride, channels):
    model = counter(head={"type": "C3Head", "in_index": index, "channels": 3})
    assert model.stride == stride and model.head.in_channels == channels
    assert model(torch.randn(1, 3, 16, 16)).shape[-1] == 16 // stride


def test_the_label_scale_changes_units_only():
    x = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(counter(label_scale=50.0)(x), 2 * counter(label_scale=100.0)(x))


def test_losses_are_those_of_the_padded_batch():
    model = counter()
    data = model.data_preprocessor(batch((16, 16), (9, 12)))
    losses = model(**data, mode="loss")
    density = model(data["inputs"]).detach().numpy().astype(np.float64)
    errors, cells = [], 0
    for one, sample in zip(density, data["data_samples"], strict=True):
        height, width = sample.density.shape[-2:]
        errors.append((one[0, :height, :width] - sample.density[0].numpy()) * 100 / 64)
        cells += height * width
    assert losses["loss_density"].item() == pytest.approx(sum((e**2).sum() for e in errors) / cells, rel=1e-4)
    assert losses["loss_count"].item() == pytest.approx(0.5 * sum(abs(e.sum()) for e in errors) / cells, rel=1e-4)


def test_images_without_heads_train():
    model = counter(loss={"type": "BayesianLoss"})
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.01))
    losses = model.train_step(batch((16, 16), (16, 16), heads=0), optimizer)
    assert torch.isfinite(losses["loss"])


def test_training_overfits_one_batch():
    model, data = counter(head={"type": "DilatedHead", "channels": (16,)}), batch((32, 32), (32, 32), heads=5)
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), 0.01))
    first = model.train_step(copy.deepcopy(data), optimizer)["loss"].item()
    for _ in range(60):
        last = model.train_step(copy.deepcopy(data), optimizer)["loss"].item()
    assert last < first / 2
    counts = [sample.pred_count for sample in model.eval().test_step(data)]
    assert counts == pytest.approx([5, 5], abs=1.5)


@pytest.mark.parametrize("shape", [(16, 24), (17, 23), (1, 1)])
def test_prediction_is_the_padded_image_cut_to_its_cells(shape):
    model, data = counter().eval(), batch(shape)
    expected = model(model.data_preprocessor(data)["inputs"])[0]
    (sample,) = model.test_step(data)
    assert sample.pred_density.shape == (1, -(-shape[0] // 8), -(-shape[1] // 8))
    torch.testing.assert_close(sample.pred_density, expected)
    assert sample.pred_count == pytest.approx(expected.sum().item(), rel=1e-5)
    assert sample.tiles == (1, 1) and sample.stride == 8 and sample.noun == "people"


def test_what_is_counted_has_a_name_of_its_own():
    model = counter(noun="cells").eval()
    (sample,) = model.test_step(batch((16, 24)))
    assert model.noun == sample.noun == "cells" == deploy(model).noun
    for noun in ("", " ", 3):
        with pytest.raises(UserInputError, match=r"model\.noun="):
            counter(noun=noun)


def test_all_loaders_are_of_one_fold():
    def config(**folds):
        return {f"{split}_dataloader": {"dataset": {"data_root": "ucf", "fold": n}} for split, n in folds.items()}

    model = counter()
    model.check_config(config(train=2, val=2, test=2))
    for folds, line in (
        (dict(train=2, val=2, test=1), r"test_dataloader\.dataset\.fold=1: train_dataloader\.dataset\.fold is 2"),
        (dict(train=0, test=1), r"test_dataloader\.dataset\.fold=1: train_dataloader"),
    ):
        with pytest.raises(UserInputError, match=line):
            model.check_config(config(**folds))
    one = {**config(train=1), "test_dataloader": {"dataset": {"data_root": "ucf"}}}
    with pytest.raises(UserInputError, match=r"test_dataloader\.dataset\.fold=0"):
        model.check_config(one)


def test_a_batch_predicts_each_image_on_its_own_cells():
    samples = counter().eval().test_step(batch((16, 24), (9, 33)))
    assert [tuple(s.pred_density.shape) for s in samples] == [(1, 2, 3), (1, 2, 5)]


def test_tiles_with_enough_context_predict_the_same():
    """A network without whole-map gates sees no further than the margin, so tiling changes nothing."""
    data, whole, tiled = batch((200, 333)), counter().eval(), counter(test_cfg={"max_pixels": 40_000}).eval()
    (expected,), (sample,) = whole.test_step(copy.deepcopy(data)), tiled.test_step(data)
    assert sample.tiles != (1, 1) and expected.tiles == (1, 1)
    torch.testing.assert_close(sample.pred_density, expected.pred_density, rtol=1e-4, atol=1e-6)
    assert sample.pred_count == pytest.approx(expected.pred_count, rel=1e-5)


@pytest.mark.parametrize("cells", [(10, 10), (60, 33), (300, 20), (1, 400)])
@pytest.mark.parametrize("budget", [25_000, 60_000, 200_000])
def test_tiles_cover_every_cell_once_within_the_budget(cells, budget):
    stride, margin = 8, MARGIN // 8
    rows, columns = grid(cells, stride, budget)
    tall, wide = split(cells[0], rows, margin), split(cells[1], columns, margin)
    for parts, size in ((tall, cells[0]), (wide, cells[1])):
        assert [i for part in parts for i in range(part.start, part.stop)] == list(range(size))
        for part in parts:
            assert 0 <= part.seen_start <= max(part.start - margin, 0)
            assert min(part.stop + margin, size) <= part.seen_stop <= size
        assert len({part.seen_stop - part.seen_start for part in parts}) == 1
    largest = max((a.seen_stop - a.seen_start) * (b.seen_stop - b.seen_start) for a in tall for b in wide)
    assert largest * stride**2 <= budget
    if cells[0] * cells[1] * stride**2 <= budget:
        assert (rows, columns) == (1, 1)


def test_a_budget_below_one_tile_is_refused():
    with pytest.raises(UserInputError, match=r"max_pixels=1000.*at least 18496"):
        grid((100, 100), 8, 1000)


def test_channels_last_changes_the_format_only():
    x = torch.randn(1, 3, 16, 16)
    model = counter(channels_last=True)
    assert model.head.layers[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(x), counter()(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": {"type": "C3Head", "in_index": 2}}, "in_index=2"),
        ({"head": {"type": "C3Head", "in_channels": 7}}, "has 6 channels"),
        ({"test_cfg": {"max_pixel": 9}}, "Did you mean 'max_pixels'"),
        ({"loss": []}, "model.loss"),
        ({"loss": [{"type": "CropCountLoss"}, {"type": "CropCountLoss"}]}, "different"),
        ({"label_scale": 0}, "label_scale"),
    ],
)
def test_options_that_do_not_fit_are_named(changes, message):
    with pytest.raises(UserInputError, match=message):
        counter(**changes)


def test_a_target_of_another_stride_is_named():
    model = counter()
    data = model.data_preprocessor(batch((16, 16), stride=4))
    with pytest.raises(UserInputError, match="expected stride=8"):
        model(**data, mode="loss")


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match="'guess'"):
        counter()(torch.randn(1, 3, 8, 8), mode="guess")


def loaders(**strides):
    """A config's data loaders whose targets have these strides."""
    target = {"sigma": 8.0, "type": "DensityTarget"}
    return {
        f"{name}_dataloader": {
            "batch_size": 1,
            "num_workers": 0,
            "dataset": {
                "type": "CrowdDataset",
                "data_root": "nowhere",
                "pipeline": [{"type": "CrowdRandomFlip"}, {**target, "stride": stride}, {"type": "PackCrowd"}],
            },
        }
        for name, stride in strides.items()
    }


def test_targets_of_another_stride_than_the_heads_are_refused():
    counter().check_config(loaders(train=8, val=8))
    counter(head={"type": "C3Head", "in_index": 0}).check_config(loaders(train=4))
    counter().check_config({"train_dataloader": {"dataset": {"pipeline": [{"type": "PackCrowd"}]}}})
    with pytest.raises(UserInputError) as error:
        counter().check_config(loaders(train=8, val=16))
    line = str(error.value)
    assert line.startswith("config key val_dataloader.dataset.pipeline.1.stride=16: ") and "\n" not in line
    assert "stride 8" in line and "model.backbone" in line


def test_a_training_with_another_stride_ends_before_it_reads_data(tmp_path):
    config = Config(
        {
            "model": {
                "type": "CrowdCounter",
                "backbone": {"type": "TinyCountingBackbone"},
                "head": {"type": "DilatedHead", "channels": (5,)},
                "loss": {"type": "DensityMSELoss"},
            },
            **loaders(train=4),
            "train_cfg": {"max_iters": 1},
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
        }
    )
    with pytest.raises(UserInputError, match=r"train_dataloader\.dataset\.pipeline\.1\.stride=4: .* stride 8"):
        train(config, work_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_density_that_is_not_finite_is_an_error_and_no_count():
    model = counter().eval()
    with torch.no_grad():
        model.head.get_parameter(next(name for name, _ in model.head.named_parameters())).fill_(float("nan"))
    data = batch((16, 24))
    data["data_samples"][0].set_metainfo({"img_path": "street.jpg"})
    with (
        torch.no_grad(),
        pytest.raises(RunError, match=r"street\.jpg: the network's output holds numbers"),
    ):
        model.test_step(data)
