"""The page on the solvable model: where trajectories end, against equations solved anew."""

import numpy as np
import pytest
from PIL import Image

from transfer.analysis.relaxed import PANELS, Setting, darts_trajectory
from transfer.cli import run_command
from transfer.commands.report import main

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("setting", [one for settings in PANELS.values() for one in settings])
def test_trajectories_of_rarts_end_where_its_equations_of_equilibrium_hold(setting):
    lam, beta = setting.lam, setting.beta
    equations = np.array([[-2 * lam, 2 * lam + beta, -beta], [1, -beta, beta], [2 * lam, -2 * lam, 1]])  # of a, w, y
    expected = np.linalg.solve(equations, [0, 0, 2])
    points = setting.trajectory()
    assert points[0] == (2, -2, setting.y)
    assert points[-1] == pytest.approx(expected, abs=1e-6)
    assert setting.rest == pytest.approx(expected, abs=1e-12)


def test_first_order_darts_ends_at_two():
    assert darts_trajectory()[-1] == pytest.approx((2, 2, 2), abs=1e-6)


def test_rarts_is_the_nearer_the_greater_lambda_and_beta():
    errors = [abs(Setting(lam, lam).rest.a - 1) for lam in (5, 10, 20, 1000)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-3


def test_the_command_writes_a_page_with_a_picture(tmp_path, pictures):
    assert run_command(main, ["relaxed", "--out", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "relaxed.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("|")][2:]
    cells = [[float(cell) for cell in line.strip("|").split("|")[1:]] for line in lines]
    assert len(cells) == 1 + sum(map(len, PANELS.values()))
    for w, y, a, *rest, distance in cells:
        assert [w, y, a] == pytest.approx(rest, abs=1e-5)
        assert distance == pytest.approx(np.hypot(w - 1, a - 1), abs=1e-3)
    with Image.open(tmp_path / "page" / "trajectories.png") as image:
        assert image.width > 1000 and np.asarray(image.convert("L")).std() > 5


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert run_command(main, ["relaxed", "--out", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
