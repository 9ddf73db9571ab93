"""Where schemes are evaluated and candidates trained: in this process, or on a Ray cluster."""

from __future__ import annotations

import copy
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch

from backbones.errors import RunError, UserInputError, did_you_mean
from backbones.memory_format import to_memory_format
from backbones.scheme import ConnectionScheme
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.console import say
from transfer.search.problem import Evaluation, WrappedProblem
from transfer.search.supernet.evaluator import BlockCount, TrieEvaluator


class Engine(Protocol):
    """Carries out what a search asks for."""

    def wrap(self, problem: Any) -> Any:
        """The problem, evaluated by this engine."""
        ...

    def run(self, job: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """Yields `job(*args)` for all arguments, in their order, each as soon as it and those before are done."""
        ...


class Serial:
    """One after the other, in this process."""

    def wrap(self, problem: Any) -> Any:
        """The problem itself."""
        return problem

    def run(self, job: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """One call after the other."""
        for args in arguments:
            yield job(*args)


class LostWorker(RunError):
    """A worker ended, and what it computed is gone."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what}; go on with --resume")


class RayEngine:
    """Workers of a Ray cluster: the one that `RAY_ADDRESS` names, or one of this machine's own.

    Each worker gets the supernet and the images once. Schemes are sorted and dealt out in runs, so that those that
    share a prefix stay together. Evaluations are the same as in one process.

    Args:
        workers: processes; each computes with as many threads as this one does, on one GPU where there are some.

    Raises:
        UserInputError: fewer workers than one.
        RunError: ray is not installed.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise UserInputError(f"--workers {workers}: expected at least 1")
        try:
            import ray
        except ImportError as error:
            raise RunError(f"--engine ray needs ray ({error}): pip install ray, or choose --engine serial") from error
        self.ray, self.workers = ray, workers
        if not ray.is_initialized():
            own: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
            options = {} if os.environ.get("RAY_ADDRESS") else own
            ray.init(log_to_driver=True, logging_level=logging.ERROR, **options)
        self.options: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1 if torch.cuda.is_available() else 0}

    def wrap(self, problem: Any) -> Any:
        """The problem, with its evaluations spread over the workers."""
        return _Spread(self, problem)

    def run(self, job: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """All calls at once, as far as there are workers."""
        remote = self.ray.remote(**self.options)(_with_threads)
        threads = torch.get_num_threads()
        for pending in [remote.remote(threads, job, args) for args in arguments]:
            yield self._get(pending)

    def _get(self, pending: Any) -> Any:
        try:
            return self.ray.get(pending)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except self.ray.exceptions.RayError as error:
            raise LostWorker(f"a ray worker was lost ({type(error).__name__})") from error


class _Spread(WrappedProblem):
    """A supernet's problem whose evaluator has copies in the workers."""

    def __init__(self, engine: RayEngine, problem: Any) -> None:
        super().__init__(problem)
        self._engine = engine
        self._blocks: BlockCount = problem.evaluator.blocks
        evaluator = copy.copy(problem.evaluator)
        evaluator.net = copy.deepcopy(evaluator.net).cpu()
        worker = engine.ray.remote(**engine.options)(_Worker)
        threads, shared = torch.get_num_threads(), engine.ray.put(evaluator)
        self._workers = [worker.remote(threads, str(evaluator.device), shared) for _ in range(engine.workers)]

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """As the problem's, by all workers."""
        distinct = sorted(set(schemes), key=lambda scheme: scheme.bits)
        share = -(-len(distinct) // len(self._workers))
        parts = [distinct[i : i + share] for i in range(0, len(distinct), share)]
        found: dict[ConnectionScheme, Evaluation] = {}
        while parts:
            dealt = [(w, part, w.evaluate.remote(part)) for w, part in zip(self._workers, parts, strict=False)]
            again = parts[len(dealt) :]
            for worker, part, answer in dealt:
                try:
                    evaluations, run, alone = self._engine._get(answer)
                except LostWorker as lost:
                    self._workers.remove(worker)
                    if not self._workers:
                        raise
                    say(f"{lost.what}; its {len(part)} schemes are dealt again", sys.stderr)
                    again.append(part)
                    continue
                found.update(zip(part, evaluations, strict=True))
                self._blocks.run += run
                self._blocks.alone += alone
            parts = again
        return [found[scheme] for scheme in schemes]


class _Worker:
    def __init__(self, threads: int, device: str, evaluator: TrieEvaluator) -> None:
        torch.set_num_threads(threads)
        keep_freed_memory()
        evaluator = copy.copy(evaluator)
        evaluator.device = torch.device(device)
        evaluator.net = to_memory_format(copy.deepcopy(evaluator.net).to(evaluator.device), evaluator.memory_format)
        self.evaluator = evaluator

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> tuple[list[Evaluation], int, int]:
        """Evaluations, and how many blocks ran and would have run alone."""
        blocks = self.evaluator.blocks
        before = (blocks.run, blocks.alone)
        found = self.evaluator.evaluate(schemes)
        return found, blocks.run - before[0], blocks.alone - before[1]


def _with_threads(threads: int, job: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    torch.set_num_threads(threads)
    return job(*args)


ENGINES = ("serial", "ray")


def get_engine(name: str = "serial", workers: int = 2) -> Engine:
    """The engine called `name`.

    Raises:
        UserInputError: unknown name (with close matches).
    """
    if name not in ENGINES:
        raise UserInputError(f"engine {name!r} is unknown, expected serial or ray.{did_you_mean(name, ENGINES)}")
    return Serial() if name == "serial" else RayEngine(workers)
