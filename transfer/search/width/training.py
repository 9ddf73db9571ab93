"""The search itself: steps of a method, from any step on, to the same end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backbones.errors import RunError
from transfer.search.width.data import Stream
from transfer.search.width.methods.base import WidthMethod
from transfer.search.width.shrinking import Rate, moved_share
from transfer.search.width.space import Space

_STREAM = 0x57D7
"""Keeps what is drawn within a step (dropout) apart from everything else that is drawn from (seed, step)."""


class WidthTraining:
    """A method on a space, step by step.

    Everything that a step depends on is the space's state and the number of the step, so that a search that goes on
    from `state` ends as if it had never been stopped.

    Args:
        method: what to do; one that trains.
        space: on what.
        streams: of the training and of the validation loss; the same one where a method does not split the data.
        steps: of the whole search.
        rate: learning rates.
        seed: of what is drawn within a step.

    Attributes:
        step: steps that are done.
        trace: a row for each epoch: step, mean loss, mean score, share of the channels that moved.
    """

    def __init__(
        self, method: WidthMethod, space: Space, streams: tuple[Stream, Stream], steps: int, rate: Rate, seed: int
    ) -> None:
        self.method, self.space, self.streams, self.steps = method, space, streams, steps
        self.rate, self.seed = rate, seed
        self.step = 0
        self.trace: list[dict[str, Any]] = []
        self.stepper = method.begin(space)
        self.before = self._scores()

    def run(
        self, stopped: Callable[[], bool] = lambda: False, save: Callable[[], None] | None = None, every: int = 0
    ) -> None:
        """Goes on to the end, or to where `stopped` says so between two steps.

        Args:
            stopped: asked after each step.
            save: called each `every` steps, and when stopped.

        Raises:
            RunError: the loss is not finite.
        """
        batches = zip(*(stream.batches(self.step, self.steps) for stream in self._distinct()), strict=True)
        gated = nullcontext() if self.method.gates(self.space) is None else self.space.gated()
        with torch.random.fork_rng(devices=[]), gated:
            for found in batches:
                self._one(found[0], found[-1])
                if stopped():
                    break
                if save is not None and every and self.step % every == 0 and self.step < self.steps:
                    save()
        if save is not None and self.step < self.steps:
            save()

    def _distinct(self) -> tuple[Stream, ...]:
        train, val = self.streams
        return (train,) if train is val else (train, val)

    def _one(self, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor]) -> None:
        words = np.random.SeedSequence((abs(self.seed), self.step, _STREAM)).generate_state(1)
        torch.manual_seed(int(words[0]))
        self.space.set_rate(self.rate(self.step))
        self.stepper.step(*self.space.losses(train, val))
        self.step += 1
        if self.step % self.streams[0].per_epoch == 0 or self.step == self.steps:
            self._note()

    def _note(self) -> None:
        seen, scores = self.space.losses_seen, self._scores()
        loss = sum(seen) / max(len(seen), 1)
        if not math.isfinite(loss):
            raise RunError(f"step {self.step} of {self.steps}: the loss is not finite; lower lr, lam or beta")
        mean = float(torch.cat([score.flatten().double() for score in scores]).mean())
        moved = moved_share(self.before, scores)
        self.trace.append({"step": self.step, "loss": loss, "score": mean, "moved": moved})
        seen.clear()

    def _scores(self) -> list[Tensor]:
        return [score.clone() for score in self.method.scores(self.space, torch.Generator().manual_seed(self.seed))]

    @property
    def moved(self) -> float:
        """Share of the channels whose score has moved since the beginning."""
        return moved_share(self.before, self._scores())

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, from which `resume` goes on."""
        space = self.space
        return {
            "step": self.step,
            "trace": [dict(row) for row in self.trace],
            "images": space.images,
            "losses": list(space.losses_seen),
            "networks": [dict(net.state_dict()) for net in space.networks],
            "gates": [gate.detach() for gate in space.gates],
            "before": list(self.before),
            "optimizers": [optimizer.state_dict() for optimizer in space.optimizers],
        }

    @torch.no_grad()
    def resume(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken, of a search of the same arguments."""
        space = self.space
        self.step, self.trace = state["step"], list(state["trace"])
        space.images, space.losses_seen = state["images"], list(state["losses"])
        for net, saved in zip(space.networks, state["networks"], strict=True):
            net.load_state_dict(saved)
        for gate, values in zip(space.gates, state["gates"], strict=True):
            gate.copy_(values)
        self.before = [saved.to(now) for saved, now in zip(state["before"], self.before, strict=True)]
        for optimizer, saved in zip(space.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
