"""The latency of single blocks, for the objective of measured time.

latency.json    measured once, or a copy of the file that the config names
"""

from __future__ import annotations

from backbones.errors import RunError, UserInputError
from backbones.schema import as_json, write_json
from transfer.engine.console import say
from transfer.measure.latency import LATENCY, LatencyTable
from transfer.measure.stopwatch import measure_latency
from transfer.pipeline.artefacts import SEARCH
from transfer.pipeline.config import SearchConfig
from transfer.pipeline.stages.base import SearchRun, Stage
from transfer.pipeline.stages.describe import network_of
from transfer.pipeline.stages.supernet import supernet_config, supernet_problem
from transfer.search.supernet import SupernetProblem


def given_table(config: SearchConfig) -> LatencyTable | None:
    """The table that the config names, None where it names none.

    Raises:
        UserInputError: no such file, or no such table.
    """
    name = config.search.objective.latency
    if name is None:
        return None
    table = LatencyTable.read(config.file(name))
    config.search.objective.build(table)  # its times must add up to something
    return table


def search_table(run: SearchRun) -> LatencyTable | None:
    """The table that the search goes by, None where its objective needs none.

    Raises:
        UserInputError: it is another one than the config names.
    """
    if not run.config.search.timed:
        return None
    stored, given = run.file(LATENCY), given_table(run.config)
    table = LatencyTable.read(stored)
    if given is not None and given.blocks != table.blocks:
        raise UserInputError(
            f"{stored}: the search was begun with another table than search.objective.latency of {run.config.path}; "
            "leave that out, or choose another --work-dir"
        )
    return table


def check_table(run: SearchRun, table: LatencyTable, problem: SupernetProblem) -> None:
    """Raises `UserInputError` where the table is not of the problem's network."""
    named = run.config.search.objective.latency or run.file(LATENCY)
    network = network_of(supernet_config(run.config), problem.supernet)
    table.check_network({**as_json(network), "size": list(_size(problem))}, named)


class MeasureLatency(Stage):
    """Measures the time increment of each block, at the size of the images that schemes are evaluated on."""

    def wanted(self, run: SearchRun) -> bool:
        """Where measured time is part of the objective."""
        return run.config.search.timed

    def done(self, run: SearchRun) -> bool:
        """The table is there."""
        return run.file(LATENCY).is_file()

    def make(self, run: SearchRun) -> int:
        """Measures it, or takes the one that the config names.

        Raises:
            UserInputError: the search has ended, so that its table must be there; a table of another network.
            RunError: what was measured is noise.
        """
        stored = run.file(LATENCY)
        if run.file(SEARCH).is_file():
            raise UserInputError(f"{stored}: no such file, but the search that has ended used it; bring it back")
        problem = supernet_problem(run)
        table = given_table(run.config) or _measured(run, problem)
        check_table(run, table, problem)
        write_json(stored, table.as_dict())
        return 0


def _measured(run: SearchRun, problem: SupernetProblem) -> LatencyTable:
    say("measuring the latency of each block")
    network = network_of(supernet_config(run.config), problem.supernet)
    evaluator, timing = problem.evaluator, run.config.search.objective.timing
    size, memory_format = _size(problem), evaluator.memory_format
    table = measure_latency(evaluator.net, size, network, timing, memory_format=memory_format)
    if not sum(table.per_block) > 0:
        raise RunError(
            f"the time increments of single blocks add up to {sum(table.per_block):.2f} %, so noise hides them: raise "
            "search.objective.timing.rounds or batch, or wait for a quieter machine"
        )
    return table


def _size(problem: SupernetProblem) -> tuple[int, int, int]:
    """(C, H, W) of the images that schemes are evaluated on."""
    images, _ = next(iter(problem.evaluator.batches))
    channels, height, width = images.shape[1:]
    return channels, height, width
