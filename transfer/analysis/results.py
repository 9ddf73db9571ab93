"""What was measured in this repository, by network: `results/` of a checkout, each figure with its circumstances."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from backbones.card import BackboneCard
from backbones.errors import UserInputError
from transfer.pipeline.artefacts import INCREMENT, SEARCH, STANDALONE, Run, Search, read_runs, read_search

Key = tuple[Any, ...]
"""What makes two networks the same one."""

_Timed = tuple[dict[str, Any], dict[str, Any], str]
"""A row of a benchmark, the machine, and the file."""

EAGER, DEPLOYED = "eager", "deployed"


class Found(NamedTuple):
    """A measured figure as text, and under which circumstances it was measured."""

    text: str
    note: str


class Trained(NamedTuple):
    """A stand-alone training of a search, and the file that records it."""

    run: Run
    search: Search
    file: str


def key_of(card: BackboneCard) -> Key:
    """The network of a card, whatever the card is called."""
    key = _key(card.arch, card.attention, card.attention_args, card.sharing, str(card.scheme))
    return (*key, *(str(part) for part in (card.widths, card.genotype) if part is not None))


def _key(arch: str, attention: str | None, args: Mapping[str, Any], sharing: str, scheme: str) -> Key:
    return (arch, attention, tuple(sorted(args.items())), sharing, scheme) if attention else (arch, scheme)


@dataclass(frozen=True)
class Results:
    """The folder `results` of the checkout at `root`.

    Raises:
        UserInputError: there is none, such as in an installed wheel.
    """

    root: Path

    def __post_init__(self) -> None:
        if not (self.root / "results").is_dir():
            raise UserInputError(f"{self.root / 'results'}: no such folder; run this in a checkout of the repository")

    def times(self, card: BackboneCard, mode: str) -> list[Found]:
        """Increments of the inference time over the plain network, in percent, each with its 95 % interval."""
        return _increments([*self._benchmarked(card.name), *self._timed_in_searches(key_of(card))], mode)

    def times_of_config(self, config: str, mode: str) -> list[Found]:
        """As `times`, of the task model that a config of ours describes."""
        return _increments(self._benchmarked(f"configs/{config}.py"), mode)

    def _benchmarked(self, name: str) -> Iterator[_Timed]:
        for path in sorted(self.root.glob("results/speed/increment_*.json")):
            told = json.loads(path.read_text(encoding="utf-8"))
            yield from ((row, told["machine"], self._named(path)) for row in told["rows"] if row["name"] == name)

    def _timed_in_searches(self, key: Key) -> Iterator[_Timed]:
        for path in sorted(self.root.glob(f"results/search/*/{INCREMENT}")):
            told, search = json.loads(path.read_text(encoding="utf-8")), read_search(path.parent)
            for row in told["rows"]:
                network = _key(search.arch, search.attention, search.attention_args, row["sharing"], row["scheme"])
                if network == key and row["against"] == "plain":
                    yield row, told["machine"], self._named(path)

    def searches(self) -> Iterator[tuple[Search, tuple[Run, ...], str]]:
        """Finished searches with stand-alone trainings, and the file that records these."""
        for path in sorted(self.root.glob(f"results/search/*/{STANDALONE}")):
            if (path.parent / SEARCH).is_file():
                search = read_search(path.parent)
                yield search, read_runs(path.parent, search.depths)[0], self._named(path)

    def trained(self, card: BackboneCard) -> list[Trained]:
        """Trainings from scratch of the card's network, under whatever name."""
        found = []
        for search, runs, file in self.searches():
            for run in runs:
                args = search.attention_args if run.attention else {}
                if _key(search.arch, run.attention, args, run.sharing, str(run.scheme)) == key_of(card):
                    found.append(Trained(run, search, file))
        return found

    def tested(self, card: BackboneCard, names: Sequence[str], config: str = "") -> dict[str, list[Found]]:
        """Metrics called `names` of task models on the card, by data set: means over the seeds of each config.

        Args:
            card: of their backbone.
            names: of metrics that they have, such as `("mae", "mse")`.
            config: name of the one config that counts; default any.
        """
        groups: dict[tuple[str, ...], list[tuple[dict[str, Any], str]]] = defaultdict(list)
        for path in sorted(self.root.glob("results/*/*/metrics.json")):
            told = json.loads(path.read_text(encoding="utf-8"))
            if told.get("backbone") != card.name or config not in ("", Path(told["config"]).stem):
                continue
            if names[0] in told["metrics"]:
                groups[told["data"]["name"], told["config"], told["init"]].append((told, self._named(path.parent)))
        found: dict[str, list[Found]] = defaultdict(list)
        for (data, config, init), runs in groups.items():
            found[data].append(_mean(names, config, init, runs))
        return dict(found)

    def _named(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _increments(rows: Iterable[_Timed], mode: str) -> list[Found]:
    return [_time(row, machine, file) for row, machine, file in rows if row["mode"] == mode and row.get("ci95")]


def _time(row: Mapping[str, Any], machine: Mapping[str, Any], file: str) -> Found:
    low, high = row["ci95"]
    threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    how = f"batches of {row['batch']} at {row['size']} px, {row['rounds']} rounds, {row['clock']} clock, {threads}"
    where = f"{machine['cpu']} ({machine['cpu_capability']}), torch {machine['versions']['torch']}"
    return Found(f"{row['increment_percent']:+.1f} ({low:.1f} to {high:.1f})", f"{how}, {where}: `{file}`")


def _mean(names: Sequence[str], config: str, init: str, runs: Sequence[tuple[dict[str, Any], str]]) -> Found:
    values = [[told["metrics"][name] for told, _ in runs] for name in names]
    text = " / ".join(f"{mean(column):.1f}" for column in values)
    told = runs[0][0]
    seeds = ", ".join(str(told["seed"]) for told, _ in runs)
    at = " or ".join(f"{iteration:,}" for iteration in sorted({told["iter"] for told, _ in runs}))
    how = f"`{config}`, starts from {init}, iteration {at}, {told['data']['images']} test images"
    if len(runs) > 1:
        spread = " / ".join(f"{stdev(column):.1f}" for column in values)
        how += f"; mean of seeds {seeds}, standard deviation {spread}"
    else:
        how += f"; seed {seeds}"
    return Found(text, f"{how}: {', '.join(f'`{folder}`' for _, folder in runs)}")


class Notes:
    """Footnotes of a page, numbered as they come; the same words are the same note."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, note: str) -> str:
        """What stands behind a figure."""
        return f"[^{self._numbers.setdefault(note, len(self._numbers) + 1)}]" if note else ""

    def cell(self, found: Iterable[Found]) -> str:
        """Figures with their marks, one below the other."""
        return "<br>".join(f"{one.text}{self.mark(one.note)}" for one in found)

    def lines(self) -> list[str]:
        """The notes themselves, for the end of the page."""
        return [f"[^{number}]: {note}." for note, number in self._numbers.items()]
