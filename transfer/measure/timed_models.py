"""Networks that run side by side: each on images of its size, in one of several modes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backbones.errors import UserInputError, did_you_mean
from backbones.memory_format import to_memory_format
from transfer.deploy import deploy
from transfer.measure.memory import peak_memory
from transfer.measure.networks import settle
from transfer.measure.timing import Timing

MODES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "eager": lambda model: model,
    "deployed": deploy,
    "compiled": functools.partial(deploy, compile=True),
}
"""As it is built, by `deploy`, by `deploy` with `torch.compile`."""

_WARM_UP = 2
"""Forwards before anything is measured: the first compiles, the second packs weights for the images' shape."""


@dataclass(frozen=True)
class Settings(Timing):
    """How a command times: `Timing`, and what holds for all of its work.

    Attributes:
        repeats: of the whole measurement, each of `rounds` and with its own result.
        seed: of weights, images and resampling.
        device: torch's name of it.
        threads: of torch; default torch's own choice.

    Raises:
        UserInputError: a number below 1, an unknown clock or device.
    """

    rounds: int = 10
    repeats: int = 1
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None

    def __post_init__(self) -> None:
        self._check("--{} {}", "batch", "rounds", "repeats", *(["threads"] if self.threads is not None else []))
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
            raise UserInputError(f"--device {self.device}: {str(error).splitlines()[0]}") from error

    @property
    def runs(self) -> int:
        """Of each piece of work, altogether."""
        return self.rounds * self.repeats

    def set_threads(self) -> None:
        """Makes torch use `threads`, if any are given."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)


@dataclass(frozen=True, eq=False)
class TimedModel:
    """A network in a mode, with its images.

    Attributes:
        name: of the network.
        mode: a name of `MODES`.
        model: what runs.
        eager: the network as it was built.
        images: (N, C, H, W).
    """

    name: str
    mode: str
    model: nn.Module
    eager: nn.Module
    images: Tensor

    def run(self) -> Any:
        """One forward in inference mode."""
        with torch.inference_mode():
            return self.model(self.images)

    def peak_memory(self) -> int:
        """Bytes that one forward needs at once, beside the weights."""
        return peak_memory(self.run, self.images.device)

    def difference(self) -> float:
        """Greatest deviation from the eager outputs, relative to their greatest absolute value."""
        with torch.inference_mode():
            expected, given = self.eager(self.images[:2]), self.model(self.images[:2])
        pairs = [(expected, given)] if isinstance(expected, Tensor) else list(zip(expected, given, strict=True))
        return max(float((b - a).abs().max() / a.abs().max().clamp_min(1e-12)) for a, b in pairs)

    def as_row(self, seconds: np.ndarray, timing: Timing) -> dict[str, Any]:
        """What a row of figures says of the network, which took `seconds`."""
        return {
            "name": self.name,
            "mode": self.mode,
            "batch": timing.batch,
            "size": self.images.shape[-1],
            "ms_per_image": 1000 * float(np.median(seconds)) / timing.batch,
            "parameters": sum(parameter.numel() for parameter in self.eager.parameters()),
            "memory_format": _memory_format(self.model),
            **timing.as_row(),
        }


def check_modes(modes: Sequence[str]) -> None:
    """Raises `UserInputError` where a mode is unknown."""
    for mode in modes:
        if mode not in MODES:
            raise UserInputError(f"--modes {mode}: expected some of {', '.join(MODES)}.{did_you_mean(mode, MODES)}")


def prepare(
    name: str,
    build: Callable[[], nn.Module],
    size: tuple[int, int, int],
    modes: Sequence[str],
    settings: Settings,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> list[TimedModel]:
    """Builds a network once, with random weights and the statistics that fit, and makes it ready in each mode.

    Args:
        name: of the network.
        build: makes it.
        size: (C, H, W) of the images.
        modes: some of `MODES`.
        settings: how it is timed.
        memory_format: of images and weights.
    """
    if min(size) < 1:
        raise UserInputError(f"--size {min(size)}: expected 1 or more")
    settings.set_threads()
    torch.manual_seed(settings.seed)
    model = to_memory_format(build().to(settings.device), memory_format)
    images, few = (
        torch.randn(count, *size, device=settings.device).contiguous(memory_format=memory_format)
        for count in (settings.batch, 2)
    )
    settle(model, few)
    made = [TimedModel(name, mode, MODES[mode](model), model, images) for mode in modes]
    for one in made * _WARM_UP:
        one.run()
    return made


def _memory_format(model: nn.Module) -> str:
    """Of the convolutions' weights: the first that tells the formats apart."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 4 and not tensor.is_contiguous():
            return "channels_last"
    return "contiguous"


def times_of(models: Sequence[TimedModel], settings: Settings) -> np.ndarray:
    """Seconds (repeats, rounds, models) of one forward each, taking turns."""
    times = settings.seconds([model.run for model in models], warm_up=1, device=settings.device)
    return times.reshape(settings.repeats, settings.rounds, len(models))
