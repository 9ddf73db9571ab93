"""The figures: nothing is cut off, maps are where they belong, blocks that are not connected are seen."""

import numpy as np
import pytest
from PIL import Image

from transfer.explain.figures import Panel, Row, draw_gates, draw_maps
from transfer.explain.gates import BlockGate, Gate


@pytest.mark.parametrize("shape", [(20, 80), (60, 20)], ids=["wide", "tall"])
def test_maps_stand_beside_the_image_with_their_titles(tmp_path, shape):
    image, map_HW = np.full((*shape, 3), 128, np.uint8), np.zeros(shape, np.float32)
    map_HW[: shape[0] // 2] = 7
    draw_maps(tmp_path / "maps.png", image, [Panel("a name\ncar, P = 0.9", image, map_HW)])
    drawn = np.asarray(Image.open(tmp_path / "maps.png").convert("RGB")).astype(int)
    assert (drawn[:3] == 255).all() and (drawn[-3:] == 255).all() and (drawn[:, -3:] == 255).all()
    assert (drawn[3:50] < 100).any(), "titles"
    at = drawn.shape[1] // 2 + 20  # within the panel
    column = drawn[60:-15, at]
    quarter = len(column) // 4
    upper, lower = column[:quarter].mean(0), column[-quarter:].mean(0)
    assert upper[1] - upper[2] > 50 > lower[1] - lower[2], "yellow where the map is high, not where it is low"


def test_gates_of_connected_blocks_and_hatches_of_the_others(tmp_path):
    gate = Gate(np.linspace(0, 1, 16, dtype=np.float32), np.eye(4, dtype=np.float32), 0.0, 1.0)
    blocks = [BlockGate(f"layer1.{n}", 1, n != 1, gate if n == 0 else None) for n in range(3)]
    sizes = {}
    for name, rows in {"two": [Row("a", blocks), Row("plain", blocks[1:2])], "plain": [Row("p", blocks[1:2])]}.items():
        draw_gates(tmp_path / f"{name}.png", rows)
        drawn = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
        assert (drawn[:2] == 255).all() and drawn.std() > 10
        sizes[name] = len(drawn), int((drawn[..., 2] - drawn[..., 0] > 60).sum())
    assert sizes["two"][0] > 3 * sizes["plain"][0], "a network without gates takes one line"
    assert sizes["two"][1] > 1000 > sizes["plain"][1], "blue: low gates"
