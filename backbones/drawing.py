"""A registered backbone as image or text: its trunk, which blocks its scheme connects, the module that they share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from backbones.arch import family_of, get_arch
from backbones.errors import UserInputError
from backbones.files import atomic_path
from backbones.genotype import get_space

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backbones.card import BackboneCard
    from backbones.scheme import ConnectionScheme

CONNECTED, LEFT_OUT, MODULE = "#0072B2", "#E5E9EE", "#E69F00"
"""Colours that colour-blind people tell apart."""

FORMATS = ("png", "svg", "pdf")

_GAP = 0.9
"""Between stages; a block is 1 wide."""


def scheme_lines(scheme: ConnectionScheme, channels: Sequence[int] | None = None) -> list[str]:
    """The scheme as text: a line for each stage, one sign for each block, filled where it is connected."""
    lines = [f"scheme {scheme} ({scheme.connected} of {scheme.total} blocks connected)"]
    for stage, bits in enumerate(scheme.stages):
        width = "" if channels is None else f"{channels[stage]:5} channels  "
        blocks = " ".join("■" if bit else "□" for bit in bits)
        lines.append(f"  layer{stage + 1}  {width}{blocks}  {sum(bits)}/{len(bits)}")
    return lines


def network_lines(card: BackboneCard) -> list[str]:
    """A card's network as text: its scheme where its blocks take SAMs, else its stages; and what pruning has left."""
    arch = get_arch(card.arch)
    if family_of(card.arch).sams:
        lines = scheme_lines(card.scheme, arch.channels)
    else:
        stages = enumerate(zip(arch.channels, arch.depths, strict=True), 1)
        lines = [
            "no self-attention modules",
            *(f"  layer{n}  {width:5} channels  {'□ ' * d}".rstrip() for n, (width, d) in stages),
        ]
    if card.widths is not None:
        lines.append(f"widths {card.widths} ({100 * card.widths.kept(arch.inner):.1f} % of the channels inside blocks)")
    if card.genotype is not None:
        cells = zip(get_space(card.genotype.space).cells, str(card.genotype).split("/"), strict=True)
        lines += [f"{kind if kind == 'cell' else f'{kind} cell'} {text}" for kind, text in cells]
    return lines


def draw_backbone(card: BackboneCard, path: str | Path) -> None:
    """Writes the picture of a card's network; the ending of `path` says the format (see `FORMATS`).

    Each square is a residual block. Filled ones are connected to a self-attention module: one per stage where the card
    shares it by stage, else one per block.

    Raises:
        UserInputError: an ending that is none of `FORMATS`.
    """
    from matplotlib.figure import Figure

    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise UserInputError(f"{path}: expected a file that ends in {', '.join(f'.{form}' for form in FORMATS)}")
    stages, channels = card.scheme.stages, get_arch(card.arch).channels
    width = card.scheme.total + _GAP * (len(stages) - 1)
    figure = Figure(figsize=(max(7.0, 0.55 * width + 1), 2.3), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-1.3, width + 0.3)
    axes.set_ylim(-0.8, 2.5)
    axes.set_aspect("equal")
    axes.annotate("", (width + 0.25, 0.4), (-1.2, 0.4), arrowprops={"arrowstyle": "-|>", "color": "#666666"}, zorder=0)
    left = 0.0
    for number, (bits, maps) in enumerate(zip(stages, channels, strict=True), 1):
        _draw_stage(axes, left, bits, card)
        axes.text(left + len(bits) / 2, -0.35, f"stage {number}, {maps} channels", ha="center", va="top", fontsize=8)
        left += len(bits) + _GAP
    axes.set_title(_title(card), fontsize=9)
    with atomic_path(path) as partial:
        figure.savefig(partial, format=kind, dpi=150)


def _title(card: BackboneCard) -> str:
    said = "no self-attention modules"
    if family_of(card.arch).sams:
        said = f"scheme {card.scheme}, {card.scheme.connected} of {card.scheme.total} blocks connected"
    share = "" if card.widths is None else f", {100 * card.widths.kept(get_arch(card.arch).inner):.1f} % of its widths"
    return f"{card.name}   {said}{share}"


def _draw_stage(axes: Axes, left: float, bits: tuple[int, ...], card: BackboneCard) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    name = (card.attention or "").removeprefix("timm:").upper()
    centres = [left + place + 0.5 for place, bit in enumerate(bits) if bit]
    modules = [sum(centres) / len(centres)] * len(centres) if centres and card.sharing == "stage" else centres
    for place, bit in enumerate(bits):
        axes.add_patch(Rectangle((left + place + 0.06, 0.0), 0.88, 0.8, facecolor=CONNECTED if bit else LEFT_OUT))
        axes.text(left + place + 0.5, 0.4, str(bit), ha="center", va="center", color="white" if bit else "#555555")
    for centre, module in zip(centres, modules, strict=True):
        axes.plot([centre, module], [0.8, 1.7], color=MODULE, linewidth=1.5, zorder=0)
    for module in dict.fromkeys(modules):
        axes.add_patch(FancyBboxPatch((module - 0.32, 1.7), 0.64, 0.5, "round,pad=0.04", facecolor=MODULE, linewidth=0))
        axes.text(module, 1.95, name, ha="center", va="center", fontsize=8)
