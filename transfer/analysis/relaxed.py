"""Trajectories of gradient methods on the thesis's solvable model of two variables (Example 2.4, Fig. 2.1).

Validation loss `a y - 2 a + 1`, training loss `w^2 - 2 w a + a^2`, where `a` is the architecture, `y` the primary and
`w` the auxiliary weight, one and the same for DARTS and MiLeNAS. The bilevel optimum is (w, a) = (1, 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import SGD

from transfer.analysis import figures
from transfer.analysis.figures import STYLES
from transfer.analysis.page import refuse_other_files, write_sections
from transfer.engine.figure import BLACK
from transfer.measure.markdown import table
from transfer.search.methods._relaxation import Darts, Rarts

PAGE, FIGURE = "relaxed.md", "trajectories.png"
STEPS, RATE = 2000, 0.02
"""The thesis states neither; at lambda 10 a rate of 0.1 diverges."""
BEGIN = (2.0, -2.0)
"""Of (a, w); that of DARTS's own figure of the model, as the thesis states none."""


class Point(NamedTuple):
    """Where a method is: architecture, auxiliary weight, primary weight."""

    a: float
    w: float
    y: float


@dataclass(frozen=True)
class Setting:
    """RARTS on the model.

    Attributes:
        lam, beta: as in `Rarts`.
        y: the primary weight at the beginning.
    """

    lam: float = 10.0
    beta: float = 10.0
    y: float = 0.0

    @property
    def rest(self) -> Point:
        """Where the gradient of the Lagrangian is zero (thesis, after Eq. 2.19)."""
        product = 4 * self.beta * self.lam
        d = product - self.beta - 2 * self.lam
        return Point(product / d, (product - 2 * self.beta) / d, (product - 2 * self.beta - 4 * self.lam) / d)

    def trajectory(self) -> list[Point]:
        """The points of all steps, the beginning first."""
        a, w, y = (_variable(value) for value in (*BEGIN, self.y))
        optimizers = (SGD([x], RATE) for x in (y, w, a))
        rarts = Rarts([y], [w], [a], *optimizers, lam=self.lam, beta=self.beta)
        return _walk(rarts, a, w, y)


PANELS: dict[str, tuple[Setting, ...]] = {
    "lambda": tuple(Setting(lam=lam) for lam in (5.0, 10.0, 15.0)),
    "beta": tuple(Setting(beta=beta) for beta in (5.0, 10.0, 20.0)),
    "y0": tuple(Setting(y=y) for y in (-2.0, 0.0, 2.0)),
}
"""What each panel changes; lambda's values are the thesis's, the others ours."""


def darts_trajectory() -> list[Point]:
    """First-order DARTS, whose two losses share one weight."""
    a, w = (_variable(value) for value in BEGIN)
    return _walk(Darts([w], [a], SGD([w], RATE), SGD([a], RATE)), a, w, w)


def _variable(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def _walk(method: Darts | Rarts, a: Tensor, w: Tensor, y: Tensor) -> list[Point]:
    points = [Point(a.item(), w.item(), y.item())]
    for _ in range(STEPS):
        method.step(lambda: w**2 - 2 * w * a + a**2, lambda: a * y - 2 * a + 1)
        points.append(Point(a.item(), w.item(), y.item()))
    return points


# ---- the page


class Run(NamedTuple):
    """A method's name, what it varies, its trajectory, and its point of rest."""

    panel: str
    name: str
    points: Sequence[Point]
    rest: Point


def write_relaxed(out: str | Path) -> Path:
    """Writes the page with its figure as the folder `out`, and returns its path.

    Raises:
        UserInputError: something else than such a page is in `out`.
    """
    target = Path(out)
    refuse_other_files(target, (PAGE, FIGURE))
    title = "Gradient methods on the solvable model of two variables"
    return write_sections(target, PAGE, title, {"Trajectories (thesis, Fig. 2.1)": _section}, tuple(_runs()))


def _runs() -> Iterable[Run]:
    yield Run("", "DARTS, first order", darts_trajectory(), Point(2.0, 2.0, 2.0))
    for panel, settings in PANELS.items():
        for one in settings:
            value = {"lambda": one.lam, "beta": one.beta, "y0": one.y}[panel]
            yield Run(panel, f"{panel} {value:g}", one.trajectory(), one.rest)


def _section(runs: Sequence[Run], folder: Path) -> list[str]:
    _draw(folder / FIGURE, runs)
    rows = []
    for run in runs:
        end = run.points[-1]
        error = ((end.w - 1) ** 2 + (end.a - 1) ** 2) ** 0.5
        cells = (f"{value:.5f}" for value in (end.w, end.y, end.a, run.rest.w, run.rest.y, run.rest.a))
        rows.append((run.name, *cells, f"{error:.3f}"))
    head = ("method", "w", "y", "a", "w at rest", "y at rest", "a at rest", "distance of (w, a) from (1, 1)")
    return [
        f"Plain gradient steps, {STEPS:,} with a rate of {RATE:g} from (a, w) = ({BEGIN[0]:g}, {BEGIN[1]:g}). RARTS "
        "with lambda 10, beta 10 and y0 = 0, but for what its row says. The bilevel optimum is (1, 1); the points of "
        "rest follow from the equations of equilibrium (Eq. 2.19), and RARTS's approach the optimum as lambda and beta "
        "grow.",
        table(head, rows),
        f"![Trajectories]({FIGURE})",
    ]


def _draw(path: Path, runs: Sequence[Run]) -> None:
    with figures.panels(path, (12.0, 4.2), len(PANELS)) as row:
        for axes, panel in zip(row, PANELS, strict=True):
            shown = [run for run in runs if run.panel in ("", panel)]
            for (colour, _, line), run in zip(STYLES, shown, strict=False):
                a, w, _ = zip(*run.points, strict=True)
                axes.plot(a, w, line, color=colour, linewidth=1.3, label=run.name)
                axes.plot(a[-1], w[-1], "o", color=colour, markersize=4)
            axes.plot(1, 1, "*", color=BLACK, markersize=11, label="optimum (1, 1)")
            axes.set(xlabel="architecture a", ylabel="weight w")
