"""What a finished search leaves in `search.json`, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.files import sha256_file
from backbones.registry import get_card
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.evaluation import as_json
from transfer.engine.progress import training_seconds
from transfer.pipeline.artefacts import FORMAT
from transfer.pipeline.config import SearchPlan
from transfer.search.log import LoggedProblem
from transfer.search.objective import Objective, cost_of, hypervolume, pareto_front
from transfer.search.session import Record, SearchResult
from transfer.search.supernet import beta_of


def describe_search(
    plan: SearchPlan,
    config: Config,
    checkpoint: Path,
    problem: Any,
    objective: Objective,
    result: SearchResult,
    logged: LoggedProblem,
) -> dict[str, Any]:
    """Everything that `search.json` says, in plain values.

    Args:
        plan: what was asked for.
        config: of the supernet.
        checkpoint: the supernet.
        problem: its `SupernetProblem`.
        objective: what was maximised.
        result: what was found.
        logged: the problem with its log.
    """
    settings, meta = dict(problem.settings), load_foreign_checkpoint(checkpoint)["meta"]
    return {
        "format": FORMAT,
        "method": plan.search.name,
        "method_args": dict(plan.search.args),
        "objective": describe_objective(objective),
        "budget": plan.search.budget,
        "seed": plan.search.seed,
        **network_of(config, problem.supernet),
        "num_classes": problem.supernet.num_classes,
        "in_channels": problem.supernet.conv1.in_channels,
        "data": settings.get("data", {}).get("name"),
        "bn": plan.supernet.bn,
        "settings": settings,
        "supernet": {
            "config": str(plan.supernet.config),
            "options": dict(plan.supernet.options),
            "sha256": settings["supernet_sha256"],
            "seed": meta.get("seed"),
            "max_iters": meta["iter"],
            "beta": beta_of(config),
            "seconds": training_seconds(checkpoint.parent),
        },
        "log_sha256": sha256_file(logged.path),
        "evaluations": len(result.log),
        "fresh": logged.fresh,
        "seconds": result.seconds,
        "images": result.images,
        "best": _as_row(result.best),
        "candidates": [_as_row(record) for record in result.candidates],
        "order": [str(record.scheme) for record in result.log],
        **_describe_front(objective, result),
        "trace": list(result.trace),
    }


def describe_objective(objective: Objective) -> dict[str, Any]:
    """An objective's class and its values."""
    values = asdict(objective)  # type: ignore[call-overload]
    return dict(as_json({"type": type(objective).__name__, **values}))


def network_of(config: Config, net: AttentionResNet) -> dict[str, Any]:
    """A supernet's architecture, attention and sharing, in plain values."""
    backbone = config.model.backbone
    card = get_card(backbone.name)
    attention = backbone.get("attention", card.attention)
    own = card.attention_args if attention == card.attention else {}
    args = backbone.get("attention_args", own) or {}
    return {"arch": net.arch.name, "attention": attention, "attention_args": dict(args), "sharing": net.sharing}


def _as_row(record: Record) -> dict[str, Any]:
    return {"scheme": str(record.scheme), **asdict(record.evaluation), "value": record.value}


def _describe_front(objective: Objective, result: SearchResult) -> dict[str, Any]:
    """Accuracy against cost, over everything that the search asked for.

    The hypervolume's reference point is the least accuracy and the cost of connecting every block.
    """
    cost, name = cost_of(objective)
    front = pareto_front(((record.scheme, record.evaluation) for record in result.log), cost)
    least = min(record.evaluation.accuracy for record in result.log)
    most = cost(ConnectionScheme.full(result.best.scheme.depths))
    return {
        "front": [{"scheme": str(p.scheme), "accuracy": p.accuracy, "cost": p.cost} for p in front],
        "hypervolume": {"value": hypervolume(front, least, most), "accuracy": least, "cost": most, "of": name},
    }


def front_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The front and its hypervolume for the terminal; nothing where an earlier version left none."""
    if not (volume := found.get("hypervolume")):
        return
    yield (
        f"front, accuracy against {volume['of']}: hypervolume {volume['value']:.4g} up to accuracy "
        f"{volume['accuracy']:.2f} and {volume['of']} {volume['cost']:.4g}"
    )
    for point in found["front"]:
        yield f"  {point['scheme']}  accuracy {point['accuracy']:.2f}  {volume['of']} {point['cost']:.4g}"
