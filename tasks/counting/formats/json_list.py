"""A JSON file for each image with a list of points, such as NWPU-Crowd's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backbones.errors import UserInputError
from tasks.counting.formats._base import PointsFile, as_points, read_json
from tasks.counting.formats._numbers import check_rows

EXPECTED = '[[x, y], ...], [{"x": .., "y": ..}, ...] or {"points": ...}'


class JsonList(PointsFile):
    """A list of [x, y] or of {"x": .., "y": ..}, by itself or under "points"; `human_num` says how many they are."""

    title = f"a JSON file for each image, {EXPECTED}, such as NWPU-Crowd's"
    endings = (".json",)

    def sniff(self, path: Path) -> bool:
        content = read_json(path)
        content = content.get("points") if isinstance(content, dict) else content
        return isinstance(content, list) and all(_is_row(row) for row in content)

    def points(self, path: Path) -> np.ndarray:
        content = read_json(path)
        try:
            rows = content["points"] if isinstance(content, dict) else content
            rows = [(p["x"], p["y"]) if isinstance(p, dict) else tuple(p) for p in rows]
        except (KeyError, TypeError):
            raise UserInputError(
                f"{path}: holds no points, expected {EXPECTED}; `ean import-points` reads other formats"
            ) from None
        check_rows(list(enumerate(rows, start=1)), path, "point")
        if isinstance(content, dict) and content.get("human_num", len(rows)) != len(rows):
            raise UserInputError(
                f"{path}: says {content['human_num']} points (human_num) and lists {len(rows)}, expected the same "
                "number: copy it again"
            )
        return as_points(rows, path)


def _is_row(row: Any) -> bool:
    return isinstance(row, list) or (isinstance(row, dict) and {"x", "y"} <= row.keys())
