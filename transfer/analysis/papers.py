"""The page that lays the papers' tables beside ours, cell by cell: `docs/papers.md`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backbones.card import BackboneCard
from backbones.files import atomic_path
from transfer.analysis.published import (
    METHODS,
    NETWORKS,
    RESNET38_ITERATIONS,
    TABLE1,
    TABLE5,
    TABLE6,
    TABLES,
    Cell,
    Row,
    Table,
    printed,
)
from transfer.analysis.results import EAGER, Found, Notes, Results, Trained
from transfer.analysis.zoo import CARDS, DATA
from transfer.measure.markdown import code, table

PAGE = "docs/papers.md"

FIGURES = {
    "top-1 (%)": ("top1",),
    "parameters (M)": ("parameters_million",),
    "time (%)": ("time_increment_percent",),
    "MAE / MSE": ("mae", "mse"),
    "mIoU / mAcc / aAcc (%)": ("miou", "macc", "aacc"),
}
"""Columns of a table, and the names of their figures in `published.toml`."""

HEAD = """# The papers' tables beside ours

Written by `python tools/report.py papers` from `transfer/analysis/published.toml`, `backbones/cards` and `results`; a
test writes it again. EAN: [arXiv:2011.14058](https://arxiv.org/abs/2011.14058); LTH4SA:
[arXiv:2207.07858](https://arxiv.org/abs/2207.07858).

*Published* and *ours* stand in columns of their own and are compared within a column, not across. An empty cell of ours
has not been run; whatever was run otherwise than the papers have it says so in its note. The command of a row trains
its network, from scratch or, for counting and segmentation, with the backbone's ImageNet weights; the papers state
neither head nor schedule of these two. Parameters of ours are counted: `python tools/backbones.py verify NAME`. Time is
the increment of the inference time over the plain network: `python tools/benchmark.py increment NAME --batch 50`, or of
the whole task model with its config's name; the papers measured on a V100. MSE is the root of the mean square error."""


def write_papers(root: str | Path, out: str | Path | None = None) -> Path:
    """Writes the page and returns its path.

    Args:
        root: of a checkout.
        out: default `docs/papers.md` in it.

    Raises:
        UserInputError: no checkout, or a record that cannot be read.
    """
    target = Path(root) / PAGE if out is None else Path(out)
    with atomic_path(target) as partial:
        partial.write_text(Papers(Path(root)).page(), encoding="utf-8")
    return target


def tables() -> list[Table]:
    """All tables that name networks, in the journal's order; Table I has one for each architecture."""
    return [_table1("resnet38", RESNET38_ITERATIONS), _table1("resnet164", None), *TABLES]


def command(cell: Cell) -> str:
    """What trains the network of a row, or searches it; nothing where it cannot be built."""
    if not cell.config:
        return ""
    tool = "search" if cell.config.startswith("search/") else "train"
    options = f" --cfg-options {cell.options}" if cell.options else ""
    return f"python tools/{tool}.py configs/{cell.config}.py{options}"


def _table1(arch: str, iterations: int | None) -> Table:
    beside = [row for row in NETWORKS if row.arch == arch and (row.network == "Original" or "Table I," in row.source)]
    rows = (*(_beside(row) for row in beside), *(_searched(row) for row in TABLE1 if row.arch == arch))
    about = f"CIFAR-100, {arch.replace('resnet', 'ResNet-')}, SE, one module per block"
    return Table("LTH4SA, Table I", about, "cifar100", rows, iterations, parameter_digits=2)


def _beside(row: Row) -> Cell:
    name = {"Original": "resnet", "Full-SA": "full_sa_se"}[row.network]
    card = f"{row.arch}.cifar100" if name == "resnet" else f"{row.arch}_{name}.cifar100"
    note = row.source if "inference" in row.source else ""
    return Cell(row.network, _values(row), card, f"c100_{row.arch}_{name}", note=note)


def _searched(row: Row) -> Cell:
    method = next(name for name, paper in METHODS.items() if paper == row.network)
    chosen = "" if method == "ean" else f"search.method={method} search.args._delete_=True "
    options = (
        f"{chosen}supernet.config=../supernet/c100_{row.arch}_full_sa_se.py "
        f"supernet.options.custom_hooks.0.beta={row.beta}"
    )
    ticket = ", a ticket by the paper" if row.ticket else ""
    return Cell(
        f"{row.network}, beta {row.beta}{ticket}", _values(row), "", f"search/c100_{row.arch}_ean_se", options=options
    )


def _values(row: Row) -> dict[str, float]:
    return {
        "top1": row.accuracy,
        "parameters_million": row.parameters,
        "time_increment_percent": row.increment,
    }


@dataclass(frozen=True)
class Papers:
    """The page of the checkout at `root`."""

    root: Path
    notes: Notes = field(default_factory=Notes)

    @property
    def results(self) -> Results:
        """What was measured here."""
        return Results(self.root)

    def page(self) -> str:
        """The page's text."""
        blocks = [HEAD]
        for one in tables():
            blocks += [f"## {one.name}: {one.about}", self._table(one)]
        blocks += ["## LTH4SA, Table V: how ENAS explores", *_table5(), "## LTH4SA, Table VI: what a search costs"]
        blocks += [self._table6(), "\n".join(self.notes.lines())]
        return "\n\n".join(blocks).rstrip() + "\n"

    def _table(self, one: Table) -> str:
        shown = {head: names for head, names in FIGURES.items() if any(names[0] in cell.values for cell in one.cells)}
        head = ["network", "backbone"]
        for words in shown:
            head += [f"published: {words}", f"ours: {words}"]
        return table([*head, "command"], [self._row(one, cell, shown) for cell in one.cells])

    def _row(self, one: Table, cell: Cell, shown: dict[str, tuple[str, ...]]) -> list[str]:
        card = BackboneCard.read(self.root / CARDS / f"{cell.card}.toml") if cell.card else None
        row = [f"{cell.network}{self.notes.mark(cell.note)}", code(cell.card) or "" if cell.card else ""]
        for names in shown.values():
            ours = _ours(self.results, one, cell, card, names) if card else []
            row += [_printed(one, cell, names), self.notes.cell(_of_stand_in(found, cell, card) for found in ours)]
        return [*row, code(command(cell)) or "" if cell.config else ""]

    def _table6(self) -> str:
        head = ("network", "published: training (h)", "ours: training (h)", "published: search (h)", "ours: search (h)",
                "published: ratio (%)", "ours: ratio (%)")  # fmt: skip
        rows = []
        for arch, (training, search, ratio) in TABLE6.items():
            ours = list(self._costs(arch))
            cells = [self.notes.cell(column) for column in zip(*ours, strict=True)] if ours else [""] * 3
            published = (f"{training:.2f}", f"{search:.2f}", f"{ratio:.1f}")
            rows.append([arch, *(text for pair in zip(published, cells, strict=True) for text in pair)])
        return table(head, rows)

    def _costs(self, arch: str) -> Iterator[tuple[Found, Found, Found]]:
        """Hours of a mean stand-alone training and of the search, and their ratio, of every finished search."""
        for search, runs, file in self.results.searches():
            seconds = [run.seconds for run in runs if run.seconds]
            if search.arch != arch or not seconds or search.seconds is None:
                continue
            mean = sum(seconds) / len(seconds)
            iterations = " or ".join(f"{count:,}" for count in sorted({run.max_iters for run in runs}))
            note = (
                f"on a CPU; trainings of {iterations} iterations (the paper: {RESNET38_ITERATIONS:,} for ResNet-38); "
                f"{search.method}, one module per {search.sharing}, {search.evaluations} schemes evaluated: `{file}`"
            )
            figures = (f"{mean / 3600:.2f}", f"{search.seconds / 3600:.2f}", f"{100 * search.seconds / mean:.1f}")
            yield Found(figures[0], note), Found(figures[1], note), Found(figures[2], note)


def _printed(one: Table, cell: Cell, names: tuple[str, ...]) -> str:
    values = cell.values
    if names[0] not in values:
        return ""
    if names == ("parameters_million",):
        return f"{values[names[0]]:.{one.parameter_digits}f}"
    other = f"{names[0]}_ean"
    text = " / ".join(printed(name, values[name]) for name in names)
    return f"{text} (EAN: {printed(names[0], values[other])})" if other in values else text


# ---- ours


def _ours(results: Results, one: Table, cell: Cell, card: BackboneCard, names: tuple[str, ...]) -> list[Found]:
    """What was measured of a card's network for the figures `names`, with every difference from the paper's way."""
    if names == ("parameters_million",):
        return [Found(f"{card.parameters.count / 1e6:.3f}", "")] if card.parameters else []
    if names == ("time_increment_percent",):
        return results.times(card, EAGER) if one.data not in DATA else results.times_of_config(cell.config, EAGER)
    if names == ("top1",):
        alike = (each for each in results.trained(card) if each.search.data == one.data)
        return [_accuracy(each, one) for each in alike]
    return results.tested(card, names, cell.config).get(DATA[one.data], [])


def _accuracy(found: Trained, one: Table) -> Found:
    run = found.run
    schedule = f"{run.max_iters:,} iterations" + (f" (the paper: {one.iterations:,})" if one.iterations else "")
    how = f"{schedule} of `{Path(run.config).name}`, seed {run.seed}{', mixed precision' if run.amp else ''}"
    return Found(f"{run.test['top1']:.2f}", f"trained for {how}: `{found.file}`")


def _of_stand_in(found: Found, cell: Cell, card: BackboneCard | None) -> Found:
    """A figure of a stand-in says that it is one, also beside the row's own note."""
    if card is None or card.provenance.kind != "stand-in":
        return found
    return Found(found.text, f"of the stand-in `{cell.card}`" + (f"; {found.note}" if found.note else ""))


def _table5() -> list[str]:
    rows = [(iteration, f"{sparsity:.2f}", f"{p_bar:.2f}", "") for iteration, sparsity, p_bar in TABLE5]
    head = ("iteration", "published: sparsity", "published: p-bar", "ours")
    enas = Cell("", {}, config="search/c100_resnet164_ean_se", options="search.method=enas search.args._delete_=True")
    twin = "how controllers explore on ResNet-38 is in [study.md](../results/search/c100_study/study.md)"
    return [f"Command: `{command(enas)}`; {twin}.", table(head, rows)]
