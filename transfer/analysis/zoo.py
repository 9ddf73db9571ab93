"""The page on everything that is registered: `docs/zoo.md`, from cards, task models, configs and results alone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backbones import macs
from backbones.arch import ARCHITECTURES, family_of
from backbones.card import BackboneCard
from backbones.errors import UserInputError
from backbones.figures import Figures
from backbones.files import atomic_path
from backbones.model_card import ModelCard
from transfer.analysis.published import printed
from transfer.analysis.results import DEPLOYED, EAGER, Found, Notes, Results
from transfer.measure.markdown import table

PAGE = "docs/zoo.md"
CARDS, MODELS, CONFIGS = "backbones/cards", "backbones/models", "configs"

DATA = {"shha": "ShanghaiTech A", "shhb": "ShanghaiTech B", "voc2012": "VOC2012"}
"""What cards call a data set, and what tests call it."""

FIGURES = {"MAE / MSE": ("mae", "mse"), "mIoU (%)": ("miou",)}
"""Figures of task models, by the words in a column's head."""

HEAD = f"""# Zoo

Written by `python tools/report.py zoo` from `{CARDS}`, `{MODELS}`, `{CONFIGS}` and `results`; a test writes it again.

A square is a residual block, filled where the scheme connects it to a self-attention module. Parameters are those of
the classifier that the papers count. MACs are multiply-accumulates of the backbone for one image of the card's input
size, without a classifier: half of the FLOPs that `torch.utils.flop_counter` counts. *Published* is what the papers
print, EAN's figure first where the two papers differ. *Measured* is measured with this code, under the circumstances in
the note; an empty cell was not measured. Time is the increment of the inference time over the plain network, with its
95 % interval. `python tools/backbones.py show NAME` prints a card, `verify NAME` builds its network and counts."""


def write_zoo(root: str | Path, out: str | Path | None = None) -> Path:
    """Writes the page and returns its path.

    Args:
        root: of a checkout.
        out: default `docs/zoo.md` in it.

    Raises:
        UserInputError: no checkout, or a card that cannot be read.
    """
    zoo = Zoo.read(Path(root))
    target = Path(root) / PAGE if out is None else Path(out)
    with atomic_path(target) as partial:
        partial.write_text(zoo.page(), encoding="utf-8")
    return target


@dataclass(frozen=True)
class Zoo:
    """What a checkout ships.

    Attributes:
        cards: of backbones, by name.
        models: cards of task models, by name.
        configs: names of configs by the backbone that they train.
        results: what was measured.
    """

    cards: tuple[BackboneCard, ...]
    models: tuple[ModelCard, ...]
    configs: dict[str, list[str]]
    results: Results

    @classmethod
    def read(cls, root: Path) -> Zoo:
        """Reads the checkout at `root`; nothing of the user's own."""
        results = Results(root)
        cards = tuple(map(BackboneCard.read, sorted((root / CARDS).glob("*.toml"))))
        models = tuple(map(ModelCard.read, sorted((root / MODELS).glob("*.toml"))))
        return cls(cards, models, configs_by_backbone(root / CONFIGS, {card.name for card in cards}), results)

    def page(self) -> str:
        """The page's text."""
        notes, blocks = Notes(), [HEAD]
        for arch in ARCHITECTURES:
            cards = [card for card in self.cards if card.arch == arch]
            if cards:
                blocks += [f"## {arch}", self._networks(cards), self._figures(cards, notes)]
        blocks += ["## Task models", self._models()]
        return "\n\n".join([*(block for block in blocks if block), "\n".join(notes.lines())]).rstrip() + "\n"

    def _networks(self, cards: Sequence[BackboneCard]) -> str:
        head = ("backbone", "scheme", "connected", "parameters", "MACs", "configs", "weights")
        return table(head, map(self._network, cards))

    def _network(self, card: BackboneCard) -> list[str]:
        counted = macs.on_card(card)
        configs = (f"[{name}](../{CONFIGS}/{name}.py)" for name in self.configs.get(card.name, ()))
        return [
            f"[{card.name}](../{CARDS}/{card.name}.toml)",
            " ".join(card.scheme.squares) if family_of(card.arch).sams else "",
            f"{card.scheme.connected}/{card.scheme.total}" if family_of(card.arch).sams else "",
            f"{card.parameters.count:,}" if card.parameters else "",
            f"{counted / 1e9:.3f} G" if counted else "",
            " ".join(configs),
            weights(card),
        ]

    def _figures(self, cards: Sequence[BackboneCard], notes: Notes) -> str:
        """Published and measured figures; a column without any of this architecture is left out."""
        columns = {name: [cell(card) for card in cards] for name, cell in self._columns(notes).items()}
        shown = {name: cells for name, cells in columns.items() if any(cells)}
        rows = ([card.name, *(cells[place] for cells in shown.values())] for place, card in enumerate(cards))
        return table(("backbone", *shown), rows) if shown else ""

    def _columns(self, notes: Notes) -> dict[str, Callable[[BackboneCard], str]]:
        """What stands under each head, by the function that says it of a card."""
        upstream = ("imagenet", "cifar100")
        columns: dict[str, Callable[[BackboneCard], str]] = {
            "published: time (%)": lambda card: published(card, upstream, ("time_increment_percent",)),
            "measured: time, eager (%)": lambda card: notes.cell(self.results.times(card, EAGER)),
            "measured: time, deployed (%)": lambda card: notes.cell(self.results.times(card, DEPLOYED)),
            "published: top-1 (%)": lambda card: published(card, upstream, ("top1",)),
            "measured: top-1 (%)": lambda card: notes.cell(on_test_images(card.measured)),
        }
        for words, names in FIGURES.items():
            for key, data in DATA.items():
                columns[f"published: {words}, {data}"] = _published_column(key, names)
                columns[f"measured: {words}, {data}"] = self._tested_column(data, names, notes)
        return columns

    def _tested_column(self, data: str, names: Sequence[str], notes: Notes) -> Callable[[BackboneCard], str]:
        return lambda card: notes.cell(self.results.tested(card, names).get(data, ()))

    def _models(self) -> str:
        if not self.models:
            return "None comes with the package yet."
        head = ("model", "task", "default", "backbone", "trained on", "measured", "config", "weights")
        return table(head, map(_model, self.models))


def _published_column(data: str, names: Sequence[str]) -> Callable[[BackboneCard], str]:
    return lambda card: published(card, (data,), names)


def published(card: BackboneCard, data: Sequence[str], names: Sequence[str]) -> str:
    """What was printed of a card on one of several data sets; figures that papers differ in one below the other."""
    found = [entry.values for entry in card.published if entry.data in data and names[0] in entry.values]
    texts = (" / ".join(printed(name, values[name]) for name in names if name in values) for values in found)
    return "<br>".join(dict.fromkeys(texts))


def on_test_images(measured: Iterable[Figures]) -> list[Found]:
    """Top-1 accuracies that a card has of test images; those on D_val chose between networks."""
    found = (entry for entry in measured if "top1" in entry.values and not entry.data.endswith(" val"))
    return [Found(f"{entry.values['top1']:.2f}", f"{entry.data}; {entry.source}") for entry in found]


def weights(card: BackboneCard | ModelCard) -> str:
    """Whether there are some, and how large they are."""
    if card.weights is None:
        return "no"
    return f"yes, {card.weights.bytes:,} bytes" if card.weights.bytes else "yes"


def _model(card: ModelCard) -> list[str]:
    return [
        f"[{card.name}](../{MODELS}/{card.name}.toml)",
        card.task,
        "yes" if card.default else "no",
        card.backbone.name if card.backbone else "",
        card.data.trained_on,
        "<br>".join(f"{one.data}: {one}" for one in card.measured),
        card.config.source,
        weights(card),
    ]


# ---- configs


def configs_by_backbone(folder: Path, known: set[str]) -> dict[str, list[str]]:
    """Names of the configs right in `folder` by the registered backbone that each names itself, or its bases."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.py")):
        for name in sorted(_backbones_of(path, known)):
            found.setdefault(name, []).append(path.stem)
    return found


def _backbones_of(path: Path, known: set[str]) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    if own := texts & known:
        return own
    return set().union(*(_backbones_of(base, known) for base in _bases(tree, path)))


def _bases(tree: ast.Module, path: Path) -> list[Path]:
    """The files behind `_base_`; those of other packages (`mmseg::...`) name no backbone of ours."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "_base_" for t in node.targets):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                raise UserInputError(f"{path}: '_base_' is no plain text, expected file names") from None
            return [path.parent / base for base in ([value] if isinstance(value, str) else value) if "::" not in base]
    return []
