"""A finished search as a registered backbone: from its work directory to a card with weights and measured figures.

torch is imported only once the records have been found in order.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from backbones.arch import ARCHITECTURES, get_arch
from backbones.card import INPUTS, BackboneCard, Figures, ParameterCount, Provenance
from backbones.errors import RunError, UserInputError, did_you_mean
from backbones.files import sha256_file
from backbones.registry import build, register_backbone
from backbones.scheme import ConnectionScheme
from transfer.pipeline.artefacts import (
    AGAIN,
    GO_ON,
    SEARCH,
    STANDALONE,
    Run,
    Search,
    Supernet,
    read_evaluations,
    read_runs,
    read_search,
)
from transfer.search.log import LOG_NAME

_TRAIN_AGAIN = "delete that training and let `tools/search.py` train it again"


def register_search(
    work_dir: str | Path,
    name: str,
    *,
    scheme: str | None = None,
    run: str | None = None,
    directory: str | Path | None = None,
    licence: str = "unstated",
) -> BackboneCard:
    """Registers a network that `tools/search.py` found and trained: the best candidate by validation top-1.

    The card says where the scheme comes from and what the network reached on validation and test images; its
    weights, the classifier included, lie beside it. Both are written, or nothing is.

    Args:
        work_dir: the search's work directory.
        name: `arch.tag` of the new backbone, such as `resnet38_share_ean_se.c100_20ep`.
        scheme: another candidate's.
        run: name of a training instead, such as `plain`, `full_sa` or `full_share`.
        directory: where the card goes; default the user's own cards.
        licence: of the weights.

    Returns:
        The card as registered.

    Raises:
        UserInputError: the name is taken or of another architecture; the search, or the training that was asked for,
            has not ended; log or checkpoint are not those that were recorded; the weights do not fit.
        RunError: the weights cannot be written.
    """
    if scheme is not None and run is not None:
        raise UserInputError("--scheme and --run exclude each other: a run has a scheme of its own")
    work_dir = Path(work_dir)
    search = read_search(work_dir)
    check_colour(search.in_channels, work_dir / SEARCH)
    training = _chosen(work_dir, search, scheme, run)
    check_name(name, search.arch)
    card = _card(name, search, training, work_dir)
    read_evaluations(work_dir, search)  # the log must be that of this search
    checkpoint = work_dir / training.checkpoint
    check_hash(checkpoint, training.sha256, f"run {training.name!r} of {STANDALONE}")
    origin = f"{_recipe(training)}, on {search.data}; checkpoint sha256 {training.sha256}"
    return register_trained(card, checkpoint, search.num_classes, origin, directory=directory, licence=licence)


def register_trained(
    card: BackboneCard,
    checkpoint: Path,
    num_classes: int,
    origin: str,
    *,
    directory: str | Path | None,
    licence: str,
) -> BackboneCard:
    """Registers a card with the weights of a training's checkpoint, `origin` of them in words.

    Raises:
        UserInputError: the name is taken; the weights do not fit.
        RunError: the weights cannot be written.
    """
    card, state = fitting(card, checkpoint, num_classes)
    try:
        return register_backbone(card, weights=state, licence=licence, weights_source=origin, directory=directory)
    except RunError as error:
        raise RunError(f"{error}; nothing was registered") from error


def check_colour(in_channels: int, record: Path) -> None:
    """Refuses what was searched on other images than backbones are registered for."""
    if in_channels != 3:
        raise UserInputError(
            f"{record}: key 'in_channels' is {in_channels}, expected 3: registered backbones take RGB images; search "
            "with such"
        )


# ---- which network


def _chosen(work_dir: Path, search: Search, scheme: str | None, run: str | None) -> Run:
    """The training that is to be registered."""
    path, depths = work_dir / STANDALONE, get_arch(search.arch).depths
    trainings, best = read_runs(work_dir, depths)
    if run is not None:
        names = list(dict.fromkeys(training.name for training in trainings))
        return _only(
            [training for training in trainings if training.name == run],
            f"--run {run}: {path} holds no such run, expected one of {', '.join(map(repr, names)) or 'none yet'}."
            f"{did_you_mean(run, names)}",
        )
    candidates = [training for training in trainings if training.is_candidate]
    if not candidates:
        raise UserInputError(f"{path}: no candidate has been trained to its end; {GO_ON}")
    _check_found(candidates, search, work_dir)
    if scheme is None:
        return _best(candidates, best, path)
    wanted = _given(scheme, depths)
    return _only(
        [candidate for candidate in candidates if candidate.scheme == wanted],
        f"--scheme {wanted}: {path} holds no candidate of it, expected one of {_listed(candidates)}",
    )


def _best(candidates: Sequence[Run], best: ConnectionScheme | None, path: Path) -> Run:
    """The candidate that the record calls best, if it is."""
    chosen = _only(
        [candidate for candidate in candidates if candidate.scheme == best],
        f"{path}: key 'best' is {best}, expected one of {_listed(candidates)}; {AGAIN}",
    )
    ahead = [candidate for candidate in candidates if candidate.val["top1"] > chosen.val["top1"]]
    if ahead:
        raise UserInputError(
            f"{path}: key 'best' is {best}, validation top-1 {chosen.val['top1']:g}, but {ahead[0].scheme} has "
            f"{ahead[0].val['top1']:g}; {AGAIN}"
        )
    return chosen


def _check_found(candidates: Sequence[Run], search: Search, work_dir: Path) -> None:
    """What was trained must be what was found: the two files may have been brought together by hand."""
    found = [candidate.scheme for candidate in search.candidates]
    for training in candidates:
        if training.scheme not in found or training.sharing != search.sharing:
            raise UserInputError(
                f"{work_dir / STANDALONE}: {training.name}, {training.scheme} shared by {training.sharing}, is none of "
                f"the candidates of {SEARCH} ({', '.join(map(str, found))} shared by {search.sharing}): the files are "
                "of different searches, bring back the ones that belong together"
            )


def _only(trainings: Sequence[Run], complaint: str) -> Run:
    """The one of these; where a network was trained more than once, the best by validation top-1."""
    if not trainings:
        raise UserInputError(complaint)
    return max(trainings, key=lambda training: training.val["top1"])


def _listed(trainings: Sequence[Run]) -> str:
    return ", ".join(str(training.scheme) for training in trainings)


def _given(scheme: str, depths: Sequence[int]) -> ConnectionScheme:
    try:
        return ConnectionScheme.parse(scheme, depths)
    except UserInputError as error:
        raise UserInputError(f"--scheme: {error}") from None


def check_name(name: str, arch: str) -> None:
    """Names begin with their architecture; of two that fit, such as resnet20 and resnet20_basic, the longer counts."""
    head = name.partition(".")[0]
    fitting = [known for known in ARCHITECTURES if head == known or head.startswith(f"{known}_")]
    if max(fitting, key=len, default=None) != arch:
        raise UserInputError(
            f"--name {name}: the search is of {arch}, expected arch.tag, such as '{arch}_share_ean_se.mine'"
        )


# ---- what the card says


def _card(name: str, search: Search, training: Run, work_dir: Path) -> BackboneCard:
    arch = get_arch(search.arch)
    attention = training.attention
    modules = f"{attention}, one module per {training.sharing}" if attention else "no attention"
    source = f"trained from scratch by tools/search.py: {_recipe(training)}"
    provenance, made = _provenance(search, training)
    try:
        return BackboneCard(
            name=name,
            summary=f"{arch.name}, {modules}: {made}; {training.max_iters} iterations on {search.data}",
            arch=arch.name,
            attention=attention,
            attention_args=search.attention_args if attention else {},
            sharing=training.sharing if attention else "stage",
            scheme=training.scheme,
            input=INPUTS[arch.stem],
            provenance=provenance,
            measured=tuple(
                Figures(source, f"{search.data} {split}", {name: float(value) for name, value in found.items()})
                for split, found in (("test", training.test), ("val", training.val))
            ),
        )
    except UserInputError as error:
        raise UserInputError(f"{work_dir}: no card can be made of {training.name}: {error}") from None


def _recipe(training: Run) -> str:
    scheme = f", scheme {training.scheme}" if training.attention else ""
    seed = "" if training.seed is None else f", seed={training.seed}"
    amp = ", amp" if training.amp else ""
    options = in_brackets(training.options or {})
    return f"{shown(training.config)}{options}{scheme}, max_iters={training.max_iters}{seed}{amp}"


def _provenance(search: Search, training: Run) -> tuple[Provenance, str]:
    """Where the scheme comes from, at length and in a few words."""
    scheme = training.scheme
    counts = {"budget": search.budget, "evaluations": search.evaluations, "seed": search.seed, "bn": search.bn}
    known = [f"{key} {value}" for key, value in counts.items() if value is not None]
    how = ", ".join([f"method {search.method}{in_brackets(search.method_args)}", *known, f"data {search.data}"])
    objective = {key: value for key, value in search.objective.items() if not isinstance(value, (list, dict))}
    told = [f"objective{in_brackets(objective)}"] if objective else []
    told += [_told(search.supernet), f"{LOG_NAME} sha256 {search.log_sha256}"]
    connected = f"{scheme.connected} of {scheme.total} blocks connected"
    if not training.is_candidate:
        made = f"{connected} ({training.name})"
        source = f"{made}: trained beside the candidates of a search, for comparison"
        return Provenance("hand", source, "; ".join([f"the search: {how}", *told])), made
    told.append(f"{training.name} of {len(search.candidates)}, which were compared by validation top-1 after training")
    return Provenance("search", f"tools/search.py: {how}", "; ".join(told)), f"{connected}, found by {search.method}"


def _told(supernet: Supernet) -> str:
    values = {"beta": supernet.beta, "max_iters": supernet.max_iters, "seed": supernet.seed, "sha256": supernet.sha256}
    known = [f"{key} {value}" for key, value in values.items() if value is not None]
    config = f"{shown(supernet.config)}{in_brackets(supernet.options)}" if supernet.config else "unknown"
    return ", ".join([f"supernet trained with {config}", *known])


def in_brackets(values: Mapping[str, Any]) -> str:
    """` (key=value, ...)` without the space; empty for none."""
    return f"({', '.join(f'{key}={value}' for key, value in values.items())})" if values else ""


def shown(config: str) -> str:
    """A config's path as others know it: from `configs` on, and never a folder of this machine."""
    path = PurePath(os.path.normpath(config))
    if path.is_absolute() and "configs" not in path.parts:
        return path.name
    parts = [part for part in path.parts if part != ".."]
    start = len(parts) - 1 - parts[::-1].index("configs") if "configs" in parts else 0
    return "/".join(parts[start:])


# ---- weights


def check_hash(path: Path, expected: str, says: str) -> None:
    """Raises `UserInputError` where a file is gone or not the one that `says`, in words, recorded."""
    if not path.is_file():
        raise UserInputError(f"{path}: no such file, but {says} names it; bring it back")
    found = sha256_file(path)
    if found != expected:
        raise UserInputError(
            f"{path}: sha256 is {found}, but {says} says {expected}: it was changed since; bring back the original"
        )


def fitting(card: BackboneCard, path: Path, num_classes: int) -> tuple[BackboneCard, dict[str, Any]]:
    """Loads a checkpoint into the stand-alone network: each tensor must have its place, each place its tensor.

    Returns:
        The card with its number of parameters, and the network's tensors.
    """
    from backbones.weights import load_weights, state_dict_of
    from transfer.engine.compat import load_foreign_checkpoint

    checkpoint = load_foreign_checkpoint(path)
    state = state_dict_of(checkpoint, str(path))
    # Where a stage shares its module, different schemes have the same tensors: only what was noted tells them apart.
    noted = checkpoint.get("meta", {}).get("scheme")
    if noted not in (None, str(card.scheme)):
        raise UserInputError(f"{path}: weights of scheme {noted}, expected {card.scheme}; {_TRAIN_AGAIN}")
    bias = any(key.endswith("conv1.bias") for key in state)
    model = build(card, num_classes=num_classes, conv_bias=bias)
    try:
        report = load_weights(model, state, init="full")
    except UserInputError as error:
        raise UserInputError(f"{path}: {str(error).removeprefix('a state dict: ')}; {_TRAIN_AGAIN}") from None
    wrong = [
        *(f"{key} is missing" for key in report.missing),
        *map(str, report.mismatched),
        *(f"{key} has no place" for key in (*report.unexpected, *report.not_needed)),
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UserInputError(f"{path}: does not fit {card.name}: {wrong[0]}{more}; {_TRAIN_AGAIN}")
    count = sum(parameter.numel() for parameter in model.parameters())
    return replace(card, parameters=ParameterCount(count, num_classes, bias)), model.state_dict()
