import numpy as np
import pytest
import torch
from counting_tiny import batch, counter

from backbones.errors import UserInputError
from tasks.counting.preprocessor import CountingDataPreprocessor

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)


def test_images_are_normalised_and_padded_right_and_bottom_with_the_mean_colour():
    data = batch((10, 21), (16, 9))
    done = CountingDataPreprocessor(MEAN, STD, pad_divisor=8)(data)
    assert done["inputs"].shape == (2, 3, 16, 24) and done["inputs"].dtype == torch.float32
    for image, out in zip(data["inputs"], done["inputs"].numpy(), strict=True):
        _, height, width = image.shape
        expected = (image.numpy() / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
        np.testing.assert_allclose(out[:, :height, :width], expected, atol=1e-5)
        assert not out[:, height:].any() and not out[:, :, width:].any()
    assert [s.image_id for s in done["data_samples"]] == ["IMG_0", "IMG_1"]


@pytest.mark.parametrize(("size", "padded"), [((8, 16), (8, 16)), ((1, 1), (8, 8)), ((17, 8), (24, 8))])
def test_padding_is_less_than_the_stride(size, padded):
    assert CountingDataPreprocessor(pad_divisor=8)(batch(size))["inputs"].shape[-2:] == padded


def test_a_stacked_batch_gives_the_same_as_a_list():
    data, processor = batch((8, 8), (8, 8)), CountingDataPreprocessor()
    stacked = {**data, "inputs": torch.stack(data["inputs"])}
    assert torch.equal(processor(data)["inputs"], processor(stacked)["inputs"])


def test_images_without_samples_are_taken():
    assert CountingDataPreprocessor()({"inputs": batch((8, 8))["inputs"]})["data_samples"] is None


def test_the_counter_fills_in_the_cards_statistics_and_its_stride():
    processor = counter().data_preprocessor
    assert processor.pad_divisor == 8
    assert processor.mean.flatten().tolist() == pytest.approx(MEAN)
    assert processor.std.flatten().tolist() == pytest.approx(STD)
    given = {"type": "CountingDataPreprocessor", "mean": (0.5,) * 3, "pad_divisor": 32}
    processor = counter(data_preprocessor=given).data_preprocessor
    assert processor.pad_divisor == 32 and processor.mean.flatten().tolist() == [0.5] * 3


def test_statistics_are_no_part_of_a_checkpoint():
    assert not CountingDataPreprocessor().state_dict()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"pad_divisor": 0}, "pad_divisor"), ({"std": (0, 1, 1)}, "std"), ({"mean": (0.5,)}, "mean")],
)
def test_wrong_arguments_are_named(arguments, named):
    with pytest.raises(UserInputError, match=named):
        CountingDataPreprocessor(**arguments)


def test_a_divisor_that_cuts_cells_is_refused():
    with pytest.raises(UserInputError, match="multiple of the stride 8"):
        counter(data_preprocessor={"pad_divisor": 12})
