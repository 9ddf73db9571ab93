"""Generated crowd scenes in ShanghaiTech's own layout: something to train on where no data set is at hand.

A scene is a ground plane in perspective with a horizon, buildings and sky, and 30 to 600 people standing on it, drawn
from far to near, so that near ones hide far ones. A head is annotated at its centre if at least a quarter of its pixels
can be seen and its centre lies in the image. Image n depends on (seed, n) only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from backbones.errors import UserInputError
from backbones.files import whole_folder
from tasks.counting.layouts.shanghaitech import ShanghaiTech

FEWEST, MOST = 30, 600
VISIBLE = 0.25
OVERSAMPLING = 2  # drawn at twice the size, then averaged
WORTH_A_PROCESS = 32  # scenes that are drawn in the time that a process takes to start
_SUBPIXEL = 4  # bits of cv2's fixed-point coordinates
_SKIN = np.array([(241, 206, 178), (224, 172, 105), (198, 134, 66), (141, 85, 36), (90, 56, 37)])
_HAZE = np.array([175, 180, 185])
_HAIR = np.array([(25, 20, 18), (60, 40, 25), (110, 80, 45), (170, 140, 90), (120, 120, 120)])

Rng = np.random.Generator


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over a plane: someone `tall` metres high with the feet in row y is `scale * (y - horizon)` high.

    Attributes:
        width, height: of the image in pixels.
        horizon: row of the horizon.
        scale: pixels of a person's height for each row below the horizon.
    """

    width: int
    height: int
    horizon: float
    scale: float


def make_scene(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws one scene.

    Returns:
        The image (H, W, 3), uint8 RGB, and the points (N, 2) in continuous pixel coordinates.
    """
    rng = np.random.default_rng((seed, number))
    width, height = (int(16 * rng.integers(low, high)) for low, high in ((20, 31), (15, 22)))
    wanted = int(np.exp(rng.uniform(np.log(FEWEST * 1.05), np.log(MOST))))
    horizon = rng.uniform(0.1, 0.3) * height
    # A crowd of many is seen from further away.
    tallest = np.clip(rng.uniform(0.8, 1.2) * 900 / np.sqrt(wanted), 32, 110)
    camera = Camera(width, height, horizon, tallest / (height - horizon))
    canvas = _background(rng, camera)
    owner = np.full(canvas.shape[:2], -1, np.int32)
    people = _people(rng, camera, wanted)
    sun = rng.uniform(-1.5, 1.5), rng.uniform(0.15, 0.55)
    for index, (x, y) in enumerate(people):
        _draw_person(rng, canvas, owner, camera, x, y, index, sun)
    heads = _visible_heads(owner, _heads(camera, people), camera)
    return _photograph(rng, canvas), heads


def _background(rng: Rng, camera: Camera) -> np.ndarray:
    width, height, horizon = (int(v * OVERSAMPLING) for v in (camera.width, camera.height, camera.horizon))
    canvas = np.empty((height, width, 3), np.float32)
    zenith, haze = np.array([95, 140, 205]) + rng.normal(0, 18, 3), np.array([205, 212, 218]) + rng.normal(0, 10, 3)
    down = np.linspace(0, 1, max(horizon, 1))[:, None, None]
    canvas[:horizon] = (1 - down) * zenith + down * haze
    _buildings(rng, canvas, horizon)
    canvas[horizon:] = _ground(rng, camera)
    return np.ascontiguousarray(canvas.clip(0, 255).astype(np.uint8))


def _buildings(rng: Rng, canvas: np.ndarray, horizon: int) -> None:
    x = -int(rng.integers(0, 60))
    while x < canvas.shape[1] and horizon > 8:
        wide, tall = int(rng.integers(40, 160)), int(rng.uniform(0.15, 1.0) * horizon)
        wall = rng.uniform(70, 190) + rng.normal(0, 14, 3)
        left, right, top = max(x, 0), min(x + wide, canvas.shape[1]), horizon - tall
        if right > left:
            canvas[top:horizon, left:right] = wall
            step = int(rng.integers(8, 15))
            for row in range(top + 4, horizon - 4, step):
                canvas[row : row + step // 2, left + 4 : right - 4 : step] = wall * rng.uniform(0.45, 1.2)
        x += wide + int(rng.integers(-10, 40))


def _ground(rng: Rng, camera: Camera) -> np.ndarray:
    """Paving in perspective with dirt: (rows below the horizon, W, 3) at the drawing size."""
    rows = camera.height * OVERSAMPLING - int(camera.horizon * OVERSAMPLING)
    columns = camera.width * OVERSAMPLING
    y, x = np.arange(1, rows + 1, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)[None]
    depth = rows / y  # 1 at the lower border, growing towards the horizon
    across = (x - columns * rng.uniform(0.2, 0.8)) * depth / columns
    size = rng.uniform(0.05, 0.14)
    seams = (np.mod(across / size, 1) < 0.06) | (np.mod(depth / size, 1) < 0.06)
    fades = np.exp(-0.25 * (depth - 1))
    base = rng.uniform(95, 175) + rng.normal(0, 10, 3)
    shade = 1 - 0.22 * rng.uniform(0.3, 1) * seams * fades
    for octave in (8, 32, 96):
        small = rng.normal(0, 1, (max(2, rows // octave), max(2, columns // octave))).astype(np.float32)
        shade += 0.05 * cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC)
    shade += rng.normal(0, 0.03, (rows, columns))
    if rng.random() < 0.6:  # the shadow of a building that is not in the image
        edge = rng.uniform(0.2, 0.8) * columns + rng.normal(0, 0.6) * (y - rows / 2)
        shade *= np.where((x < edge) == (rng.random() < 0.5), rng.uniform(0.5, 0.75), 1.0)
    return base * shade[..., None]


def _people(rng: Rng, camera: Camera, wanted: int) -> np.ndarray:
    """Feet (N, 2) in pixels, from far to near: evenly on the plane, and in groups."""
    grouped = rng.random(wanted) < rng.uniform(0.2, 0.8)
    low = camera.horizon + 0.07 * (camera.height - camera.horizon)
    # Rows whose density falls with depth, though less steeply than an even crowd's, which would all be dots.
    share = rng.random(wanted) ** rng.uniform(0.9, 1.5)
    y = low + share * (camera.height * 1.12 - low)
    x = rng.uniform(-0.03, 1.03, wanted) * camera.width
    centres = rng.integers(0, wanted, max(1, wanted // int(rng.integers(12, 40))))
    chosen = centres[rng.integers(0, len(centres), wanted)]
    near = camera.scale * (y[chosen] - camera.horizon)
    x = np.where(grouped, x[chosen] + rng.normal(0, 0.9, wanted) * near, x)
    y = np.where(grouped, y[chosen] + rng.normal(0, 0.35, wanted) * near, y).clip(low, camera.height * 1.2)
    order = np.argsort(y)
    return np.stack([x, y], axis=1)[order]


def _heads(camera: Camera, people: np.ndarray) -> np.ndarray:
    """Centre and radius of each head, (N, 3)."""
    tall = camera.scale * (people[:, 1] - camera.horizon)
    return np.stack([people[:, 0], people[:, 1] - 0.93 * tall, np.maximum(0.075 * tall, 1.2)], axis=1)


def _draw_person(
    rng: Rng,
    canvas: np.ndarray,
    owner: np.ndarray,
    camera: Camera,
    x: float,
    y: float,
    index: int,
    sun: tuple[float, float],
) -> None:
    """Shadow, legs, trunk with arms, head with hair; the head is also written into `owner`, the rest erases there."""
    tall = camera.scale * (y - camera.horizon)
    haze = 0.75 ** (1 / max(tall / 12, 0.3))
    skin, hair = _SKIN[rng.integers(len(_SKIN))], _HAIR[rng.integers(len(_HAIR))]
    top, trousers = _cloth(rng, 15, 240), _cloth(rng, 15, 130)
    bright = rng.uniform(0.75, 1.1)

    def colour(rgb: np.ndarray, shade: float) -> tuple[int, ...]:
        mixed = haze * bright * shade * rgb + (1 - haze) * _HAZE
        return tuple(int(v) for v in mixed.clip(0, 255))

    def ellipse(
        cx: float, cy: float, rx: float, ry: float, rgb: np.ndarray, shade: float = 1.0, mark: int = -1
    ) -> None:
        unit = OVERSAMPLING * 2**_SUBPIXEL
        centre = (round(cx * unit), round(cy * unit))
        axes = (max(round(rx * unit), 8), max(round(ry * unit), 8))
        cv2.ellipse(canvas, centre, axes, 0, 0, 360, colour(rgb, shade), -1, cv2.LINE_AA, _SUBPIXEL)
        cv2.ellipse(owner, centre, axes, 0, 0, 360, mark, -1, cv2.LINE_8, _SUBPIXEL)

    _draw_shadow(canvas, x, y, tall, sun)
    step = rng.uniform(0.02, 0.07) * tall
    for side in (-1, 1):
        ellipse(x + side * step, y - 0.22 * tall, 0.055 * tall, 0.24 * tall, trousers, 0.9 if side < 0 else 1.0)
        ellipse(x + side * 0.13 * tall, y - 0.62 * tall, 0.04 * tall, 0.19 * tall, top, 0.8)
    ellipse(x, y - 0.62 * tall, 0.125 * tall, 0.23 * tall, top)
    radius = max(0.075 * tall, 1.2)
    ellipse(x, y - 0.93 * tall, radius, 1.15 * radius, hair, mark=index)
    if rng.random() < 0.7:  # the others show their backs
        ellipse(x + rng.normal(0, 0.15) * radius, y - 0.91 * tall, 0.75 * radius, 0.85 * radius, skin, mark=index)


def _cloth(rng: Rng, low: int, high: int) -> np.ndarray:
    """A colour, seldom a loud one."""
    rgb = rng.uniform(low, high, 3)
    return rgb.mean() + rng.uniform(0.1, 0.8) * (rgb - rgb.mean())


def _draw_shadow(canvas: np.ndarray, x: float, y: float, tall: float, sun: tuple[float, float]) -> None:
    """Darkens an ellipse on the ground, away from the sun."""
    reach = 0.45 * tall
    cx, cy = x + sun[0] * reach * 0.6, y - 0.02 * tall
    left, right = (int(v * OVERSAMPLING) for v in (cx - reach - 2, cx + reach + 2))
    upper, lower = (int(v * OVERSAMPLING) for v in (cy - 0.14 * tall - 2, cy + 0.14 * tall + 2))
    left, upper = max(left, 0), max(upper, 0)
    patch = canvas[upper:lower, left:right]
    if not patch.size:
        return
    rows = (np.arange(upper, upper + patch.shape[0]) / OVERSAMPLING - cy) / (0.12 * tall + 0.5)
    columns = (np.arange(left, left + patch.shape[1]) / OVERSAMPLING - cx) / (reach + 0.5)
    inside = np.clip(1.3 - rows[:, None] ** 2 - columns[None] ** 2, 0, 1)
    patch[:] = (patch * (1 - sun[1] * inside[..., None])).astype(np.uint8)


def _visible_heads(owner: np.ndarray, heads: np.ndarray, camera: Camera) -> np.ndarray:
    """Centres (M, 2) of the heads of which at least `VISIBLE` can be seen."""
    seen = np.bincount(owner[owner >= 0], minlength=len(heads))
    whole = np.pi * 1.15 * (heads[:, 2] * OVERSAMPLING) ** 2
    x, y = heads[:, 0], heads[:, 1]
    inside = (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
    return heads[inside & (seen >= VISIBLE * whole), :2]


def _photograph(rng: Rng, canvas: np.ndarray) -> np.ndarray:
    """Averages the drawing down, then exposes it: gain, gamma, colour cast, blur and noise."""
    height, width = (side // OVERSAMPLING for side in canvas.shape[:2])
    image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    image = image ** rng.uniform(0.75, 1.35) * rng.uniform(0.7, 1.15) * (1 + rng.normal(0, 0.06, 3))
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.8))
    if rng.random() < 0.07:  # part A has images without colour too
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    image += rng.normal(0, rng.uniform(0.005, 0.03), image.shape)
    return np.round(image.clip(0, 1) * 255).astype(np.uint8)


def write_scenes(
    out: str | Path,
    images: int,
    seed: int = 0,
    test_share: float = 0.2,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[int, int]:
    """Writes `out/{train,test}_data/{images,ground-truth}` as ShanghaiTech has them, all of it or nothing.

    Args:
        out: a new or empty folder.
        images: number of images, at least 2.
        seed: image n depends on (seed, n) only.
        test_share: share of the images that go to the test set.
        progress: called with the number of images written.

    Returns:
        Number of training and of test images.

    Raises:
        UserInputError: the folder holds something, or a number is out of range.
    """
    out = Path(out)
    if images < 2 or not 0 < test_share < 1 or seed < 0:
        raise UserInputError(
            f"images={images}, seed={seed}, test_share={test_share}: expected at least 2 images, a seed from 0 and a "
            "share between 0 and 1"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserInputError(f"{out}: is there already and not empty; remove it, or name another folder")
    test = min(max(1, round(images * test_share)), images - 1)
    places = [("train", n + 1) for n in range(images - test)] + [("test", n + 1) for n in range(test)]
    with whole_folder(out) as new, closing(_in_processes(partial(_write_one, new, seed), places)) as written:
        for done, _ in enumerate(written, 1):
            progress(done)
    return images - test, test


def _in_processes(write: Callable[[int, tuple[str, int]], None], places: Sequence[tuple[str, int]]) -> Iterator[None]:
    """Writes every image to its place; in this process where there are too few to make up for starting others."""
    count = min(os.cpu_count() or 1, len(places) // WORTH_A_PROCESS)
    if count < 2:
        yield from map(write, range(len(places)), places)
        return
    # Fresh processes: forked ones can hang on locks that another library's threads hold.
    with ProcessPoolExecutor(count, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(write, range(len(places)), places, chunksize=4)


def _write_one(root: Path, seed: int, number: int, place: tuple[str, int]) -> None:
    ShanghaiTech().write(root, *place, *make_scene(seed, number))
