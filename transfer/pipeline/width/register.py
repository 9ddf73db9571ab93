"""A finished width search as a registered backbone: a card with widths, weights and measured figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backbones.arch import get_arch
from backbones.card import BackboneCard, Figures, Provenance
from backbones.errors import UserInputError, did_you_mean
from backbones.registry import get_card
from backbones.scheme import ConnectionScheme
from backbones.widths import WidthPlan
from transfer.pipeline.artefacts import GO_ON
from transfer.pipeline.register import check_colour, check_hash, check_name, in_brackets, register_trained, shown
from transfer.pipeline.width.artefacts import (
    FINETUNED,
    WIDTHS,
    Finetuned,
    Finetunes,
    Found,
    WidthSearch,
    read_finetunes,
    read_widths,
)


def is_width_search(work_dir: str | Path) -> bool:
    """Whether a folder holds a width search, finished or not."""
    return (Path(work_dir) / WIDTHS).is_file()


def register_width_search(
    work_dir: str | Path,
    name: str,
    *,
    run: str | None = None,
    directory: str | Path | None = None,
    licence: str = "unstated",
) -> BackboneCard:
    """Registers a network that a width search pruned and fine-tuned: the search proper's, or the one called `run`.

    Args:
        work_dir: the search's work directory.
        name: `arch.tag` of the new backbone, such as `resnet38_share_ean_se.c100_half`.
        run: name of a search beside it.
        directory: where the card goes; default the user's own cards.
        licence: of the weights.

    Returns:
        The card as registered.

    Raises:
        UserInputError: the name is taken or of another architecture; the search or the fine-tuning that was asked for
            has not ended; the checkpoint is not the one that was recorded; the weights do not fit.
        RunError: the weights cannot be written.
    """
    work_dir = Path(work_dir)
    search, tuned = read_widths(work_dir), read_finetunes(work_dir)
    check_colour(search.in_channels, work_dir / WIDTHS)
    found, network = _chosen(work_dir, search, tuned, run)
    check_name(name, search.arch)
    card = _card(name, search, found, network, tuned)
    checkpoint = work_dir / network.checkpoint
    check_hash(checkpoint, network.sha256, f"run {network.name!r} of {FINETUNED}")
    origin = f"{_recipe(tuned, network)}, on {search.data}; checkpoint sha256 {network.sha256}"
    return register_trained(card, checkpoint, search.num_classes, origin, directory=directory, licence=licence)


def _chosen(work_dir: Path, search: WidthSearch, tuned: Finetunes, run: str | None) -> tuple[Found, Finetuned]:
    names = [row.name for row in search.rows]
    wanted = names[0] if run is None and names else run
    found = next((row for row in search.rows if row.name == wanted), None)
    if found is None:
        raise UserInputError(
            f"--run {wanted}: {work_dir / WIDTHS} holds no such search, expected one of "
            f"{', '.join(map(repr, names)) or 'none yet'}.{did_you_mean(str(wanted), names)}"
        )
    network = next((row for row in tuned.rows if row.name == wanted), None)
    if network is None:
        raise UserInputError(f"{work_dir / FINETUNED}: {wanted!r} is not fine-tuned yet; {GO_ON}")
    if network.widths != found.widths:
        raise UserInputError(
            f"{work_dir / FINETUNED}: {wanted!r} has other widths than in {WIDTHS}: the files are of different "
            "searches, bring back the ones that belong together"
        )
    return found, network


def _card(name: str, search: WidthSearch, found: Found, network: Finetuned, tuned: Finetunes) -> BackboneCard:
    arch, whole = get_arch(search.arch), get_card(search.backbone)
    share = found.macs / search.dense.macs
    scheme = None if search.scheme is None else ConnectionScheme.parse(search.scheme, arch.depths)
    source = f"fine-tuned by tools/search.py: {_recipe(tuned, network)}"
    sams: dict[str, Any] = {}
    if search.attention is not None:
        sams = {"attention": search.attention, "attention_args": search.attention_args, "sharing": search.sharing}
    return BackboneCard(
        name=name,
        summary=f"{search.backbone} pruned to {share:.0%} of its MACs by {found.asked['method']}; "
        f"{network.max_iters} iterations of fine-tuning on {search.data}",
        arch=arch.name,
        scheme=scheme or ConnectionScheme.empty(arch.depths),
        widths=WidthPlan.parse(found.widths, arch.inner),
        input=whole.input,
        provenance=_provenance(search, found, whole),
        measured=tuple(
            Figures(source, f"{search.data} {split}", {key: float(value) for key, value in figures.items()})
            for split, figures in (("test", network.test), ("val", network.val))
        ),
        **sams,
    )


def _provenance(search: WidthSearch, found: Found, whole: BackboneCard) -> Provenance:
    asked = found.asked
    keep = in_brackets({key: value for key, value in asked["keep"].items() if value is not None})
    told = {"images seen": found.images, "steps": found.steps, "gamma": found.gamma, "seed": asked["seed"]}
    known = ", ".join(f"{key} {value}" for key, value in told.items() if value is not None)
    how = f"widths of {search.backbone} by method {asked['method']}{in_brackets(asked['args'])}, keep{keep}, "
    note = [f"full width: {shown(search.dense.config)}{in_brackets(search.dense.options)}"]
    if search.dense.sha256 is not None:
        note[0] += f", sha256 {search.dense.sha256}"
    note.append(f"scheme from {whole.name}: {whole.provenance.kind}, {whole.provenance.source}")
    source = f"tools/search.py: {how}rank {asked['rank']}, {known}, data {search.data}"
    return Provenance("search", source, "; ".join(note))


def _recipe(tuned: Finetunes, network: Finetuned) -> str:
    training = tuned.training
    options = in_brackets(training.get("options") or {})
    seed = "" if network.seed is None else f", seed={network.seed}"
    amp = ", amp" if training.get("amp") else ""
    distill = training.get("distill")
    taught = f", distilled{in_brackets(distill)}" if distill else ""
    return f"{shown(str(training.get('config')))}{options}, max_iters={network.max_iters}{seed}{amp}{taught}"
