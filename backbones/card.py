"""A registered backbone's card: what it is, where it comes from, what was published and what was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backbones import schema
from backbones.arch import ArchSpec, family_of, get_arch
from backbones.errors import UserInputError, did_you_mean
from backbones.figures import Figures, FiguresRow, as_row, from_row
from backbones.genotype import Genotype
from backbones.plugins import plugin_names
from backbones.schema import named
from backbones.scheme import ConnectionScheme
from backbones.weights_file import Weights as Weights
from backbones.weights_file import find_weights
from backbones.widths import WidthPlan

KINDS = ("paper", "search", "stand-in", "hand")
"""Where a scheme comes from: published, found by a search run, in place of an unpublished one, chosen by hand."""

SHARING = ("stage", "block")

_SAME = ("name", "summary", "default", "input", "provenance", "parameters", "weights")

_MOST, _LARGEST = 10**12, 1 << 16
"""Of parameters, and of pixels along a side."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+")


@dataclass(frozen=True)
class InputStatistics:
    """How images are normalised: `mean` and `std` per channel for RGB values in [0, 1], side `size` in pixels."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


INPUTS = {
    "imagenet": InputStatistics(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar": InputStatistics(32, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
"""The usual statistics, by the kind of stem."""


@dataclass(frozen=True)
class Provenance:
    """Where the connection scheme comes from: one of `KINDS`, the paper, run or person, and what else is to be said."""

    kind: str
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserInputError(
                f"key 'kind' is {self.kind!r}, expected one of {', '.join(map(repr, KINDS))}."
                f"{did_you_mean(self.kind, KINDS)}"
            )
        if not self.source.strip():
            raise UserInputError("key 'source' is empty, expected the paper, the search run or the person")


@dataclass(frozen=True)
class ParameterCount:
    """Exact number of parameters of the stand-alone network, built with `num_classes` and `conv_bias`."""

    count: int
    num_classes: int | None = None
    conv_bias: bool = False

    def __post_init__(self) -> None:
        for name, value, least in (("count", self.count, 0), ("num_classes", self.num_classes, 0)):
            if value is not None and not least <= value <= _MOST:
                raise UserInputError(f"key '{name}' is {value}, expected {least} to {_MOST:,}")


@dataclass(frozen=True)
class BackboneCard:
    """One registered backbone. Validated on construction; read from and written to TOML.

    Attributes:
        name: `arch.tag` as in timm, lower case, such as `resnet50_share_ean_sge.imagenet`.
        arch: a name of `backbones.arch.ARCHITECTURES`.
        attention: name of a SAM, None for the plain network.
        attention_args: the SAM's own arguments.
        sharing: `"stage"` or `"block"`.
        scheme: which blocks are connected. None, as families without SAMs have it, is given as the empty scheme.
        input: how images are normalised.
        provenance: where the scheme comes from.
        parameters: the exact count and how it was built.
        weights: None where there are none.
        published: figures that others printed, each with its source.
        measured: figures measured with this code, each with the command or file that says how.
        summary: one line.
        default: whether the name without its tag means this card, one at most for each such name.
        path: the card's file, None where it has none yet.
        widths: channels left inside the blocks, None where it is all of them.
        genotype: of networks of searched cells, which have no widths to choose; None for others.

    Raises:
        UserInputError: names the key, what is wrong, what was expected.
    """

    name: str
    arch: str
    scheme: ConnectionScheme
    input: InputStatistics
    provenance: Provenance
    attention: str | None = None
    attention_args: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sharing: str = "stage"
    parameters: ParameterCount | None = None
    weights: Weights | None = None
    published: tuple[Figures, ...] = ()
    measured: tuple[Figures, ...] = ()
    summary: str = ""
    default: bool = False
    path: Path | None = field(default=None, compare=False)
    widths: WidthPlan | None = field(default=None, kw_only=True)
    genotype: Genotype | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserInputError(
                f"key 'name' is {self.name!r}, expected arch.tag in lower case, letters, digits, '_' and '-', "
                "such as 'resnet50_share_ean_se.mine'"
            )
        self._check_network()
        self._check_input()
        self._check_figures()

    def _check_network(self) -> None:
        arch = named("network.arch", lambda: get_arch(self.arch))
        if self.scheme is None:
            object.__setattr__(self, "scheme", ConnectionScheme.empty(arch.depths))
        named("network.scheme", lambda: self.scheme.check_depths(arch.depths))
        if (widths := self.widths) is not None:
            whole = named("network.widths", lambda: widths.check(arch.inner)) == WidthPlan.full(arch.inner)
            object.__setattr__(self, "widths", None if whole else widths)
        self._check_genotype(arch)
        if self.attention is not None and not family_of(self.arch).sams:
            raise UserInputError(
                f"key 'network.attention' is {self.attention!r}, but {self.arch} takes no self-attention modules; "
                "leave it out, or take a ResNet"
            )
        if self.attention is None:
            if self.scheme.connected or self.attention_args:
                raise UserInputError(
                    "key 'network.attention' is missing, but the scheme or its arguments ask for one, expected "
                    "its SAM's name"
                )
        else:
            _check_attention(self.attention)
        for key, value in self.attention_args.items():
            if not isinstance(value, (str, int, float)):
                raise UserInputError(f"key 'network.attention_args.{key}' is {value!r}, expected text or a number")
        if self.sharing not in SHARING:
            raise UserInputError(
                f"key 'network.sharing' is {self.sharing!r}, expected 'stage' or 'block'."
                f"{did_you_mean(self.sharing, SHARING)}"
            )

    def _check_genotype(self, arch: ArchSpec) -> None:
        space, genotype, widths = arch.space, self.genotype, self.widths
        if space is None and genotype is not None:
            raise UserInputError(
                f"key 'network.genotype' is '{genotype.short}', but {arch.name} has no searched cells; leave it out, "
                "or take an architecture that begins with cells_"
            )
        if space is None:
            return
        if genotype is None:
            raise UserInputError(f"key 'network.genotype' is missing, expected one of the space {space}")
        named("network.genotype", lambda: genotype.check(space))
        if widths is not None:
            raise UserInputError(
                f"key 'network.widths' is {widths.short!r}, but the cells of {arch.name} have no widths to choose; "
                "leave it out"
            )

    def _check_input(self) -> None:
        mean, std = self.input.mean, self.input.std
        if len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
            raise UserInputError(f"section 'input': mean={mean}, std={std}, expected three numbers each, std above 0")
        if not 1 <= self.input.size <= _LARGEST:
            raise UserInputError(f"key 'input.size' is {self.input.size}, expected 1 to {_LARGEST:,}")

    def _check_figures(self) -> None:
        if self.provenance.kind == "stand-in" and self.published:
            raise UserInputError(
                "section 'published' is of another network than this stand-in; leave it out, or say in "
                f"'provenance.kind' what the network is, one of {', '.join(map(repr, KINDS))}"
            )
        for name in ("published", "measured"):
            if not all(entry.source.strip() for entry in getattr(self, name)):
                raise UserInputError(f"an entry of {name!r} has an empty 'source', expected what its figures are from")

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean per channel, for values in [0, 1]."""
        return self.input.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation per channel, for values in [0, 1]."""
        return self.input.std

    @property
    def network_options(self) -> dict[str, Any]:
        """The arguments of the family's class, after `arch`, that make this network."""
        if self.genotype is not None:
            return {"genotype": self.genotype}
        if not family_of(self.arch).sams:
            return {"widths": self.widths}
        return {
            "widths": self.widths,
            "attention": self.attention,
            "attention_args": dict(self.attention_args),
            "sharing": self.sharing,
            "scheme": self.scheme,
        }

    def weights_path(self) -> Path:
        """Returns the file of the card's own weights, after checking its SHA-256.

        Raises:
            UserInputError: the card has no weights, the file is missing, leaves the card's folder, or is another.
        """
        if self.weights is None:
            raise UserInputError(
                f"backbone {self.name!r} has no weights of its own, so init=full is impossible; use init=trunk or "
                "init=scratch, or register weights with `tools/backbones.py register --weights FILE`"
            )
        return find_weights(self.weights, self.path, self.name, mend=f"run `tools/backbones.py fetch {self.name}`")

    @classmethod
    def read(cls, path: str | Path) -> BackboneCard:
        """Reads a card's TOML file; raises `UserInputError` that names the file and the key."""
        return cls.parse(schema.read_text(path, "a card"), path)

    @classmethod
    def parse(cls, text: str, path: str | Path) -> BackboneCard:
        """The card that TOML text describes; `path` is where it lies, and stands in error messages."""
        written = schema.read(_Written, schema.parse_toml(text, path), path, strict=True)
        try:
            return written.card(Path(path))
        except UserInputError as error:
            raise UserInputError(f"{path}: {error}") from None

    def to_toml(self) -> str:
        """The card as TOML; reading it back and writing it again gives the same bytes."""
        return schema.toml_text(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The card as plain values, in the order of the TOML file; what says nothing (no SAM, no note) is left out."""
        return schema.write(_Written.of(self), short=True)


# ---- the file


@dataclass(frozen=True)
class _Network:
    arch: str
    attention: str | None = None
    sharing: str | None = None
    scheme: str | None = None
    widths: str | None = None
    genotype: str | None = None
    attention_args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scheme is not None and not named("arch", lambda: family_of(self.arch)).sams:
            raise UserInputError(
                f"key 'scheme' is {self.scheme!r}, but {self.arch} takes no self-attention modules, so no block is "
                "connected; leave it out"
            )
        for key, expected in (("sharing", "'stage' or 'block'"), ("scheme", "text")) if self.attention else ():
            if not getattr(self, key):
                raise UserInputError(f"key '{key}' is missing, expected {expected}")


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A card as its file has it: sections and keys in their order."""

    name: str
    summary: str = ""
    default: bool = False
    network: _Network
    input: InputStatistics
    provenance: Provenance
    parameters: ParameterCount | None = None
    weights: Weights | None = None
    published: tuple[FiguresRow, ...] = ()
    measured: tuple[FiguresRow, ...] = ()

    @classmethod
    def of(cls, card: BackboneCard) -> _Written:
        widths, genotype = (None if part is None else str(part) for part in (card.widths, card.genotype))
        plain = _Network(card.arch, widths=widths, genotype=genotype, attention_args=card.attention_args)
        sams: dict[str, Any] = {"attention": card.attention, "sharing": card.sharing, "scheme": str(card.scheme)}
        same: dict[str, Any] = {name: getattr(card, name) for name in _SAME}
        return cls(
            **same,
            network=plain if card.attention is None else replace(plain, **sams),
            published=tuple(map(as_row, card.published)),
            measured=tuple(map(as_row, card.measured)),
        )

    def card(self, path: Path) -> BackboneCard:
        network = self.network
        arch = named("network.arch", lambda: get_arch(network.arch))
        text = str(ConnectionScheme.empty(arch.depths)) if network.scheme is None else network.scheme
        widths, genotype = network.widths, network.genotype
        same: dict[str, Any] = {name: getattr(self, name) for name in _SAME}
        return BackboneCard(
            **same,
            arch=network.arch,
            attention=network.attention,
            attention_args=network.attention_args,
            sharing=network.sharing or "stage",
            scheme=named("network.scheme", lambda: ConnectionScheme.parse(text, arch.depths)),
            widths=named("network.widths", lambda: None if widths is None else WidthPlan.parse(widths, arch.inner)),
            genotype=named("network.genotype", lambda: None if genotype is None else Genotype.parse(genotype)),
            published=tuple(from_row(row, "published") for row in self.published),
            measured=tuple(from_row(row, "measured") for row in self.measured),
            path=path,
        )


# ---- checks


def known_attentions() -> list[str]:
    """As `backbones.attention.list_attentions`, without importing torch."""
    return plugin_names([Path(__file__).with_name("attention")])


def _check_attention(name: str) -> None:
    known = known_attentions()
    if name not in known and not re.fullmatch(r"timm:\w+", name):
        raise UserInputError(
            f"key 'network.attention' is {name!r}, expected one of {', '.join(known)} or timm:NAME."
            f"{did_you_mean(name, known)}"
        )
