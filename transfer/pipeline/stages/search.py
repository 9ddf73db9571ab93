"""The search itself.

evaluations.jsonl   every evaluated scheme
search.json         what was found
table.json.gz       after an exhaustive search: every scheme of the network
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.schema import as_json, write_json
from backbones.scheme import ConnectionScheme
from transfer.engine.console import duration, say
from transfer.measure.latency import LATENCY
from transfer.pipeline.artefacts import SEARCH, TABLE, Search, read_search
from transfer.pipeline.stages.base import SearchRun, Stage
from transfer.pipeline.stages.describe import describe_objective, describe_search, front_lines
from transfer.pipeline.stages.latency import check_table, search_table
from transfer.pipeline.stages.supernet import supernet_problem, trained_supernet
from transfer.search.known_problems import TableProblem
from transfer.search.log import LoggedProblem
from transfer.search.problem import Evaluation, SearchProblem, WrappedProblem


class SearchSchemes(Stage):
    """Searches the supernet's schemes, and writes what was found."""

    def done(self, run: SearchRun) -> bool:
        """It has ended; raises `UserInputError` where it was of another supernet or another search."""
        if not run.file(SEARCH).is_file():
            return False
        _check_same(run, read_search(run.folder.path))
        return True

    def make(self, run: SearchRun) -> int:
        """Searches on where the log ends."""
        asked, folder, table = run.config.search, run.folder.path, search_table(run)
        problem = supernet_problem(run)
        if table is not None:
            check_table(run, table, problem)
            problem.settings["latency_sha256"] = sha256_file(run.file(LATENCY))  # the log belongs to this table
            say(f"latency: {table}")
        objective = asked.objective.build(table)
        method = asked.build(objective)
        with LoggedProblem(run.engine.wrap(problem), folder) as logged:
            known = f", {len(logged)} schemes are in the log" if len(logged) else ""
            say(f"searching with {asked.name}, {asked.budget} schemes{known}")
            reporting = Reporting(logged, asked.budget)
            result = method.search(reporting, asked.budget, torch.Generator().manual_seed(asked.seed))
            say(f"searched {len(result.log)} schemes in {duration(result.seconds)}")
            found = describe_search(run, problem, objective, result, logged)
        if len(result.log) == 2 ** sum(problem.depths):
            TableProblem.from_log(folder).save(run.file(TABLE))
        write_json(run.file(SEARCH), found.values)
        return 0

    def report(self, run: SearchRun) -> None:
        """The front, and the best scheme."""
        found = read_search(run.folder.path)
        for line in front_lines(found):
            say(line)
        say(f"best scheme {found.best.scheme}: accuracy {found.best.accuracy:.2f} on D_val in the supernet")


class Reporting(WrappedProblem):
    """A problem that says how far its search has come, at most every `every` seconds."""

    def __init__(self, problem: SearchProblem, budget: int, every: float = 10.0) -> None:
        super().__init__(problem)
        self.budget, self.every = budget, every
        self._seen: dict[ConnectionScheme, Evaluation] = {}
        self._said = time.monotonic()

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """As the problem's."""
        found = self.problem.evaluate(schemes)
        self._seen.update(zip(schemes, found, strict=True))
        if time.monotonic() - self._said >= self.every:
            self._said = time.monotonic()
            best, evaluation = max(self._seen.items(), key=lambda item: item[1].accuracy)
            say(f"{len(self._seen)}/{self.budget} schemes  greatest accuracy {evaluation.accuracy:.2f} of {best}")
        return found


def _check_same(run: SearchRun, found: Search) -> None:
    """Refuses to go on from a result of another supernet or another search."""
    path, asked, checkpoint = run.file(SEARCH), run.config.search, trained_supernet(run)
    pairs = {
        "method": (found.method, asked.name),
        "method_args": (found.method_args, as_json(asked.args)),
        "budget": (found.budget, asked.budget),
        "seed": (found.seed, asked.seed),
        "bn": (found.bn, run.config.supernet.bn),
        "precision": (found.settings.get("precision", "float32"), run.config.supernet.precision),
        "objective": (found.objective, describe_objective(asked.objective.build(search_table(run)))),
    }
    for key, (there, here) in pairs.items():
        if there != here:
            raise UserInputError(
                f"{path}: {key} is {there!r} there and {here!r} in {run.config.path}; choose another --work-dir, or "
                "the config that it was begun with"
            )
    if found.supernet.sha256 != sha256_file(checkpoint):
        raise UserInputError(f"{path}: belongs to another supernet than {checkpoint}; choose another --work-dir")
