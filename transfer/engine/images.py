"""Reads images as viewers show them: upright, RGB, 8 bits.

The EXIF orientation is applied, because annotation tools show (and head points refer to) the upright image; grayscale
and palette images become RGB; 16-bit ones keep their upper half; transparent ones are laid on white.
"""

from __future__ import annotations

import glob
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from backbones.errors import UserInputError
from backbones.files import write_atomically
from backbones.limits import IMAGE

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_EXTENSIONS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""Pillow's names of what is decoded, whatever a file is called; not EPS, for one, which goes to Ghostscript."""
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def read_image(path: str | Path) -> np.ndarray:
    """Returns the upright image (H, W, 3), uint8 RGB.

    Raises:
        UserInputError: the file is missing, truncated or no image.
    """
    with _opened(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return np.array(_rgb(image))


def image_shape(path: str | Path) -> tuple[int, int]:
    """Returns (height, width) of the upright image, from the file's header alone.

    Raises:
        UserInputError: the file is missing or no image.
    """
    with _opened(path) as image:
        sideways = image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
        return (image.width, image.height) if sideways else (image.height, image.width)


def as_image(given: Any) -> np.ndarray:
    """The image (H, W, 3), uint8 RGB, that a path, an image of PIL or an array (H, W, 3) or (H, W) of uint8 stands for.

    Raises:
        UserInputError: the file is missing or no image, or an array of another kind.
    """
    if isinstance(given, (str, Path)):
        return read_image(given)
    if isinstance(given, Image.Image):
        return np.array(_rgb(ImageOps.exif_transpose(given)))
    pixels = np.asarray(given)
    if pixels.dtype != np.uint8 or not pixels.size or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise UserInputError(
            f"an image of {pixels.dtype} and shape {pixels.shape}: expected uint8, (height, width, 3) in RGB or "
            "(height, width) in grey"
        )
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def open_image(file: Any) -> Image.Image:
    """Opens an image of `FORMATS`, path or binary file, without decoding it.

    Raises:
        UserInputError: it would take more than `limits.IMAGE`.
        OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError: Pillow's, for what is no image.
    """
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, IMAGE.bytes // 3)  # Pillow has a limit of its own
    image = Image.open(file, formats=FORMATS)
    try:
        name = file if isinstance(file, (str, Path)) else "image"
        IMAGE.check(3 * image.width * image.height, f"{name}: {image.width}x{image.height} pixels")
    except BaseException:
        image.close()
        raise
    return image


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large images and odd EXIF entries are no concern of the user's
            with open_image(path) as image:
                yield image
    except UserInputError:
        raise
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file, expected an image") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = str(error).replace(str(path), "file").replace("\n", " ")
        raise UserInputError(f"{path}: cannot be decoded ({reason}), expected a whole image: copy it again") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grayscale; PIL's own conversion clips at 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("32-bit floating-point pixels have no agreed range")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def write_image(path: Path, image_HW3: np.ndarray) -> None:
    """Writes uint8 RGB as PNG, whole or not at all."""
    data = io.BytesIO()
    Image.fromarray(image_HW3).save(data, "png", compress_level=1)  # the default takes longer than the prediction
    write_atomically(path, data.getvalue())


def find_images(inputs: Sequence[str | Path], *, videos: bool = False) -> list[Path]:
    """Lists images: files as given, those that a pattern such as `a/*.jpg` matches, those in a folder, by name.

    Args:
        inputs: files, patterns (`**` stands for any folders) and folders.
        videos: whether files given by name or by pattern may be videos.

    Raises:
        UserInputError: nothing there, a folder or pattern without images, or a video where none may be.
    """
    found = [path for given in inputs for path in _listed(str(given), videos)]
    for path in found:
        if path.suffix.lower() in VIDEO_EXTENSIONS and not videos:
            raise UserInputError(f"{path}: is a video, expected images: this task does not predict videos")
    return found


def _listed(given: str, videos: bool) -> list[Path]:
    path, endings = Path(given), (*EXTENSIONS, *(VIDEO_EXTENSIONS if videos else ()))
    if path.is_dir():
        inside = [p for p in path.iterdir() if p.suffix.lower() in EXTENSIONS and p.is_file()]
        if not inside:
            hint = f"; videos are given by name, such as '{path}/*.mp4'" if videos else ""
            raise UserInputError(f"{path}: no images in this folder, expected {', '.join(EXTENSIONS)}{hint}")
    elif path.is_file():
        inside = [path]
    elif glob.has_magic(given):
        matches = map(Path, glob.glob(given, recursive=True))
        inside = [p for p in matches if p.suffix.lower() in endings and p.is_file()]
        if not inside:
            raise UserInputError(
                f"{given}: no file that ends in {', '.join(endings)} matches this pattern, expected at least one; "
                "correct it"
            )
    else:
        raise UserInputError(f"{given}: no such image or folder, expected one; correct its path")
    return sorted(inside)
