"""Writes a card and its weights as a folder of a model hub, which says of itself what it is and how to use it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from backbones.arch import get_arch
from backbones.card import BackboneCard
from backbones.drawing import network_lines, scheme_lines
from backbones.errors import UserInputError
from backbones.files import whole_folder
from backbones.hub import CARD, CONFIG, MARK, README, WEIGHTS, mark_of
from backbones.model_card import ModelCard
from backbones.scheme import ConnectionScheme

_LICENCES = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
"""Which a hub knows by name."""

_METRICS = {"top1": "accuracy", "top5": "accuracy", "miou": "mean_iou"}
_PIPELINES = {"segmentation": "image-segmentation", "classification": "image-classification"}


def pack_folder(card: BackboneCard | ModelCard, target: str | Path) -> Path:
    """Writes the folder of a card, whole or not at all.

    Raises:
        UserInputError: it exists, weights that are missing or damaged, or timm is missing, for a backbone.
    """
    target = Path(target)
    if target.exists():
        raise UserInputError(f"{target}: is there already; take another name, or delete it")
    if card.weights is None:
        raise UserInputError(f"{card.name!r} has no weights, which a hub needs; `--layout archive` packs its card")
    weights, config = card.weights_path(), {**_config(card), MARK: mark_of(card)}
    card = replace(card, weights=replace(card.weights, file=WEIGHTS, url=None, bytes=weights.stat().st_size))
    readme = _readme(card)
    with whole_folder(target) as folder:
        shutil.copyfile(weights, folder / WEIGHTS)
        (folder / CARD).write_text(card.to_toml(), encoding="utf-8")
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / README).write_text(readme, encoding="utf-8")
    return target


def _config(card: BackboneCard | ModelCard) -> dict[str, Any]:
    if isinstance(card, ModelCard):
        return {"library_name": "ean-transfer"}
    try:
        from backbones.timm_plugin import hub_config
    except ImportError as error:
        raise UserInputError(f"backbone {card.name!r}: this layout needs timm ({error}): pip install timm") from None
    return hub_config(card)


def _readme(card: BackboneCard | ModelCard) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)  # is YAML too
    environment.filters["cell"] = lambda text: " ".join(text.split()).replace("|", "\\|")
    kind = "backbone" if isinstance(card, BackboneCard) else "model"
    return environment.get_template(f"{kind}.md.jinja").render(card=card, front=_front(card), drawing=_drawing(card))


def _drawing(card: BackboneCard | ModelCard) -> str:
    if isinstance(card, BackboneCard):
        return "\n".join(network_lines(card))
    if card.backbone is None or card.backbone.scheme is None:
        return ""
    return "\n".join(scheme_lines(ConnectionScheme.parse(card.backbone.scheme)))


def _front(card: BackboneCard | ModelCard) -> dict[str, Any]:
    """What a hub reads of a model card."""
    assert card.weights is not None
    licence = card.weights.licence
    front: dict[str, Any] = {"license": licence.lower()}
    if licence.lower() not in _LICENCES:
        front = {"license": "unknown"} if licence == "unstated" else {"license": "other", "license_name": licence}
    if isinstance(card, BackboneCard):
        found = [(entry.data, entry.values) for entry in card.measured if set(entry.values) - {"macs_billion"}]
        more = {"library_name": "timm", "pipeline_tag": "image-feature-extraction"}
        tags, data = (
            ["timm", get_arch(card.arch).family, *([card.attention] if card.attention else [])],
            [name for name, _ in found],
        )
    else:
        found = [(entry.data, entry.metrics) for entry in card.measured]
        more = {"library_name": "ean-transfer"}
        if card.task in _PIPELINES:
            more["pipeline_tag"] = _PIPELINES[card.task]
        tags, data = [card.task], [card.data.trained_on]
    front |= {**more, "tags": ["ean-transfer", *tags]}
    front["datasets"] = _unique(_slug(text) for text in data if text != "unstated")
    front["metrics"] = _unique(_METRICS.get(name, name) for _, values in found for name in values)
    return {key: value for key, value in front.items() if value}


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, names)))


def _slug(data: str) -> str:
    """A data set's name as hubs write it, without split and size: `ShanghaiTech A, 300 images` is `shanghaitech-a`."""
    name = re.sub(r" (test|val|train)\b.*", "", data.partition(",")[0].lower())
    return re.sub(r"[^a-z0-9._]+", "-", name).strip("-")
