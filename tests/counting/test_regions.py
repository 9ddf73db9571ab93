import json

import numpy as np
import pytest

from backbones.errors import UserInputError
from tasks.counting.regions import (
    Region,
    grid_counts,
    grid_outlines,
    parse_grid,
    polygon_mask,
    read_regions,
    region_count,
)

SHAPE, STRIDE = (45, 61), 8


@pytest.fixture
def density():
    return np.random.default_rng(0).normal(0.3, 0.5, (6, 8))


def by_pixels(density):
    """The map on the image's pixels, every cell's mass spread over its pixels inside the image: plain loops."""
    out = np.zeros(SHAPE)
    for i in range(density.shape[0]):
        for j in range(density.shape[1]):
            part = out[i * STRIDE : (i + 1) * STRIDE, j * STRIDE : (j + 1) * STRIDE]
            part[:] = density[i, j] / part.size
    return out


def inside(x, y, corners):
    """Even-odd rule for one point."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if min(y0, y1) < y <= max(y0, y1):
            crossings += x0 + (y - y0) * (x1 - x0) / (y1 - y0) < x
    return crossings % 2 == 1


@pytest.mark.parametrize("cells", [(1, 1), (3, 4), (7, 5), (45, 61)])
def test_a_grids_cells_are_sums_of_pixels_and_add_up(density, cells):
    found, pixels = grid_counts(density, STRIDE, SHAPE, cells), by_pixels(density)
    ys, xs = ([size * i // n for i in range(n + 1)] for size, n in zip(SHAPE, cells, strict=True))
    expected = [[pixels[ys[r] : ys[r + 1], xs[c] : xs[c + 1]].sum() for c in range(cells[1])] for r in range(cells[0])]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.sum() == pytest.approx(density.sum(dtype=np.float64), abs=1e-4)


def test_the_whole_image_is_the_count(density):
    (whole,) = read_regions(["0,0,61,45"])
    assert region_count(density, STRIDE, SHAPE, whole) == pytest.approx(density.sum(dtype=np.float64), abs=1e-9)


def test_a_polygon_takes_the_pixels_whose_centres_it_holds(density):
    corners = ((3.2, 1.0), (55.5, 7.7), (40.3, 44.9), (30.1, 12.3), (7.0, 40.0))
    mask = polygon_mask(corners, SHAPE)
    expected = [[inside(x + 0.5, y + 0.5, corners) for x in range(SHAPE[1])] for y in range(SHAPE[0])]
    assert (mask == expected).all() and 0 < mask.mean() < 1
    count = region_count(density, STRIDE, SHAPE, Region("a", corners))
    assert count == pytest.approx(by_pixels(density)[mask].sum(), abs=1e-9)


def test_regions_side_by_side_share_no_pixel(density):
    top, middle, bottom = [(0, 0), (61, 0), (61, 45)], [(0, 0), (61, 45), (20.5, 45)], [(0, 0), (20.5, 45), (0, 45)]
    masks = [polygon_mask(corners, SHAPE).astype(int) for corners in (top, middle, bottom)]
    assert (sum(masks) == 1).all()
    cells = [polygon_mask(corners, SHAPE).astype(int) for corners in grid_outlines(SHAPE, (4, 7))]
    assert len(cells) == 28 and (sum(cells) == 1).all()


def test_files_hold_a_list_of_points_or_labelmes_shapes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    square = [[1, 1], [9, 1], [9, 9], [1, 9]]
    (tmp_path / "yard.json").write_text(json.dumps([*square, square[0]]))  # closed, as many tools write it
    shapes = [
        {"label": "gate", "shape_type": "polygon", "points": square},
        {"label": "gate", "shape_type": "rectangle", "points": [[9, 9], [1, 1]]},
    ]
    (tmp_path / "labelme.json").write_text(json.dumps({"shapes": shapes}))
    regions = read_regions(["yard.json", "labelme.json", "1,1,9,9"])
    assert [region.name for region in regions] == ["yard", "gate", "gate_2", "roi"]
    assert {region.corners for region in regions} == {tuple(map(tuple, square))}


BOW_TIE = [[0, 0], [9, 9], [9, 0], [0, 9]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("missing", "no such file"),
        ("{", "not JSON"),
        ({"points": []}, "holds no polygon"),
        ([[0, 0], [5, 5]], "2 different corners"),
        ([[0, 0], [5, 5], [5, 5], [0, 0]], "2 different corners"),
        (BOW_TIE, "cross or touch"),
        ([[0, 0], [9, 0], [9, 9], [4, 0], [0, 9]], "cross or touch"),
        ([[0, 0], [9, None], [9, 9]], "is not a number"),
        ([[0, 0], [9, float("nan")], [9, 9]], "finite"),
        ([[0, 0, 1], [9, 9, 1], [9, 0, 1]], "expected (N, 2)"),
        ({"shapes": [{"shape_type": "circle", "points": [[0, 0], [5, 5]]}]}, "'circle'"),
    ],
)
def test_wrong_polygons_are_refused(tmp_path, content, said):
    path = tmp_path / "region.json"
    if content != "missing":
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserInputError) as error:
        read_regions([path])
    assert said in str(error.value) and "region.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("given", ["1,2,3,x", "5,5,5,9", "5,5,2,9", "0,0,nan,1"])
def test_wrong_rectangles_are_refused(given):
    with pytest.raises(UserInputError, match=given):
        read_regions([given])


@pytest.mark.parametrize("given", ["-1,0,5,5", "0,0,62,5", "0,0,5,45.5", "100,100,200,200"])
def test_a_region_outside_the_image_is_refused(density, given):
    (region,) = read_regions([given])
    with pytest.raises(UserInputError, match="outside the image of 61 x 45"):
        region_count(density, STRIDE, SHAPE, region)


def test_a_region_without_a_pixel_is_refused(density):
    with pytest.raises(UserInputError, match="holds no pixel"):
        region_count(density, STRIDE, SHAPE, read_regions(["3.6,3.6,4.4,4.4"])[0])


def test_grids():
    assert parse_grid("4x6") == (4, 6) and parse_grid("1X1") == (1, 1)
    for text in ("0x3", "3x0", "4", "4x", "-1x2", "ax2", "1.5x2", ""):
        with pytest.raises(UserInputError, match="expected ROWSxCOLUMNS"):
            parse_grid(text)
    with pytest.raises(UserInputError, match="finer than the pixels"):
        grid_counts(np.zeros((1, 2)), 8, (5, 10), (6, 2))
