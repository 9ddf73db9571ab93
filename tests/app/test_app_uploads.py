"""What is made of files that somebody sends."""

import numpy as np
import pytest
from app_files import header_only, no_images, noise, odd_but_images
from PIL import Image

from backbones.errors import UserInputError
from transfer.app import uploads
from transfer.app.uploads import check_number, read_upload, shrunk
from transfer.engine.images import read_image


def test_every_kind_of_image_is_read_as_predict_reads_it(tmp_path):
    for path in odd_but_images(tmp_path):
        found = read_upload(path)
        assert found.dtype == np.uint8 and found.shape[2] == 3
        assert (found == read_image(path)).all()


def test_what_is_no_image_is_named_without_its_folder(tmp_path):
    for path, word in no_images(tmp_path).items():
        with pytest.raises(UserInputError) as error:
            read_upload(path)
        message = str(error.value)
        assert message.startswith(f"{path.name}: ") and word in message
        assert str(tmp_path) not in message and "\n" not in message


def test_a_large_image_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "read_image", lambda path: pytest.fail("decoded"))
    monkeypatch.setattr(uploads, "MOST_PIXELS", 20 * 30)
    with pytest.raises(UserInputError, match="at most"):
        read_upload(header_only(tmp_path / "a.png", 20, 31))
    monkeypatch.setattr(uploads, "read_image", lambda path: "decoded")
    assert read_upload(header_only(tmp_path / "b.png", 20, 30)) == "decoded"


def test_a_large_file_is_refused(tmp_path, monkeypatch):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    with pytest.raises(UserInputError, match=r"a\.png: 0 MB"):
        read_upload(tmp_path / "a.png")


def test_a_file_that_is_gone_is_asked_for_again(tmp_path):
    with pytest.raises(UserInputError, match="send it again"):
        read_upload(tmp_path / "a.png")


@pytest.mark.parametrize("number", [0, uploads.MOST_IMAGES + 1])
def test_how_many_at_once(number):
    check_number(["a.png"] * uploads.MOST_IMAGES)
    with pytest.raises(UserInputError):
        check_number(["a.png"] * number)


@pytest.mark.parametrize("shape", [(40, 57), (1, 900), (900, 1), (1, 1)])
def test_images_are_made_no_larger_than_asked_for(shape):
    image = noise(*shape)
    small, slim = shrunk(image, pixels=900), shrunk(image, side=30)
    assert small.shape[0] * small.shape[1] <= 900 and max(slim.shape) <= 30
    assert small.dtype == slim.dtype == np.uint8
    assert shrunk(image) is image and shrunk(image, pixels=40 * 57, side=900) is image
