"""What a finished search leaves in `search.json`, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mmengine.config import Config

from backbones.files import sha256_file
from backbones.registry import get_card
from backbones.resnet import AttentionResNet
from backbones.schema import as_json
from backbones.scheme import ConnectionScheme
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.progress import training_seconds
from transfer.pipeline.artefacts import Entry, Search, Supernet
from transfer.pipeline.stages.base import SearchRun
from transfer.pipeline.stages.supernet import supernet_config, trained_supernet
from transfer.search.log import LoggedProblem
from transfer.search.objective import FrontPoint, Objective, Reward, TimeReward, cost_of, hypervolume, pareto_front
from transfer.search.session import Record, SearchResult
from transfer.search.supernet import SupernetProblem, beta_of


def describe_search(
    run: SearchRun,
    problem: SupernetProblem,
    objective: Reward | TimeReward,
    result: SearchResult,
    logged: LoggedProblem,
) -> Search:
    """Everything that `search.json` says.

    Args:
        run: the search.
        problem: what was searched.
        objective: what was maximised.
        result: what was found.
        logged: the problem with its log.
    """
    settings, net = as_json(problem.settings), problem.supernet
    front, volume = _front(objective, result)
    return Search(
        method=run.config.search.name,
        method_args=as_json(run.config.search.args),
        objective=describe_objective(objective),
        budget=run.config.search.budget,
        seed=run.config.search.seed,
        **network_of(supernet_config(run.config), net),
        num_classes=net.num_classes or 0,
        in_channels=net.conv1.in_channels,
        data=settings.get("data", {}).get("name"),
        bn=run.config.supernet.bn,
        settings=settings,
        supernet=_supernet(run, settings["supernet_sha256"]),
        log_sha256=sha256_file(logged.path),
        evaluations=len(result.log),
        fresh=logged.fresh,
        seconds=result.seconds,
        images=result.images,
        best=_entry(result.best),
        candidates=tuple(map(_entry, result.candidates)),
        order=tuple(record.scheme for record in result.log),
        front=front,
        hypervolume=volume,
        trace=tuple(result.trace),
    )


def _supernet(run: SearchRun, sha256: str) -> Supernet:
    checkpoint = trained_supernet(run)
    meta = load_foreign_checkpoint(checkpoint)["meta"]
    return Supernet(
        config=run.config.supernet.config,
        options=run.config.supernet.options,
        sha256=sha256,
        seed=meta.get("seed"),
        max_iters=meta["iter"],
        beta=beta_of(supernet_config(run.config)),
        seconds=training_seconds(checkpoint.parent),
    )


def describe_objective(objective: Reward | TimeReward) -> dict[str, Any]:
    """An objective's class and its values."""
    return dict(as_json({"type": type(objective).__name__, **asdict(objective)}))


def network_of(config: Config, net: AttentionResNet) -> dict[str, Any]:
    """A supernet's architecture, attention and sharing, in plain values."""
    backbone = config.model.backbone
    card, attention = get_card(backbone.name), attention_of(config)
    own = card.attention_args if attention == card.attention else {}
    args = backbone.get("attention_args", own) or {}
    return {"arch": net.arch.name, "attention": attention, "attention_args": dict(args), "sharing": net.sharing}


def attention_of(config: Config) -> str | None:
    """The attention of a config's backbone: its own, else its card's."""
    attention: str | None = config.model.backbone.get("attention", get_card(config.model.backbone.name).attention)
    return attention


def _entry(record: Record) -> Entry:
    evaluation = record.evaluation
    return Entry(record.scheme, evaluation.accuracy, evaluation.loss, evaluation.n, record.value)


def _front(objective: Objective, result: SearchResult) -> tuple[tuple[FrontPoint, ...], dict[str, Any]]:
    """Accuracy against cost, over everything that the search asked for, and the hypervolume.

    Its reference point is the least accuracy and the cost of connecting every block.
    """
    cost, name = cost_of(objective)
    front = pareto_front(((record.scheme, record.evaluation) for record in result.log), cost)
    least = min(record.evaluation.accuracy for record in result.log)
    most = cost(ConnectionScheme.full(result.best.scheme.depths))
    return tuple(front), {"value": hypervolume(front, least, most), "accuracy": least, "cost": most, "of": name}


def front_lines(found: Search) -> Iterator[str]:
    """The front and its hypervolume for the terminal; nothing where an earlier version left none."""
    volume: Mapping[str, Any] = found.hypervolume
    if not volume:
        return
    yield (
        f"front, accuracy against {volume['of']}: hypervolume {volume['value']:.4g} up to accuracy "
        f"{volume['accuracy']:.2f} and {volume['of']} {volume['cost']:.4g}"
    )
    for point in found.front:
        yield f"  {point.scheme}  accuracy {point.accuracy:.2f}  {volume['of']} {point.cost:.4g}"
