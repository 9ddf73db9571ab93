"""Models that run side by side: each on pictures of its size, in one of several modes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from backbones.errors import UserInputError, did_you_mean
from transfer.deploy import deploy
from transfer.measure.memory import peak_memory
from transfer.measure.networks import settle
from transfer.measure.timing import CLOCKS, interleaved, synchroniser

MODES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "eager": lambda model: model,
    "deployed": deploy,
    "compiled": functools.partial(deploy, compile=True),
}
"""As it is built, by `deploy`, by `deploy` with `torch.compile`."""

_WARM_UP = 2
"""Forwards before anything is measured: the first compiles, the second packs weights for the pictures' shape."""


@dataclass(frozen=True)
class Settings:
    """How contenders are timed.

    Attributes:
        batch: pictures a forward.
        device: torch's name of it.
        rounds: in which every contender runs once; of each repeat.
        repeats: of the whole measurement, each giving its own result.
        clock: a name of `CLOCKS`.
        seed: of weights, pictures and resampling.
        threads: of torch; default torch's own choice.

    Raises:
        UserInputError: a number below 1, an unknown clock or device.
    """

    batch: int = 50
    device: str = "cpu"
    rounds: int = 10
    repeats: int = 1
    clock: str = "wall"
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch", "rounds", "repeats", "threads"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserInputError(f"--{name} {getattr(self, name)}: expected 1 or more")
        if self.clock not in CLOCKS:
            raise UserInputError(f"--clock {self.clock}: expected {' or '.join(CLOCKS)}")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
            raise UserInputError(f"--device {self.device}: {str(error).splitlines()[0]}") from error


@dataclass(frozen=True)
class Contender:
    """A model in a mode, with its pictures.

    Attributes:
        name: of the network.
        mode: a name of `MODES`.
        parameters: of the network as it was built.
        peak_memory: bytes that one forward needs at once, beside the weights.
        difference: greatest deviation from the eager outputs, relative to their greatest absolute value.
        memory_format: `contiguous` or `channels_last`.
    """

    name: str
    mode: str
    size: int
    parameters: int
    peak_memory: int
    difference: float
    memory_format: str
    model: nn.Module = field(repr=False)
    pictures: Tensor = field(repr=False)

    def run(self) -> object:
        """One forward in inference mode."""
        with torch.inference_mode():
            return self.model(self.pictures)


def check_modes(modes: Sequence[str]) -> None:
    """Raises `UserInputError` where a mode is unknown."""
    for mode in modes:
        if mode not in MODES:
            raise UserInputError(f"--modes {mode}: expected some of {', '.join(MODES)}.{did_you_mean(mode, MODES)}")


def prepare(
    name: str, build: Callable[[], nn.Module], size: int, modes: Sequence[str], settings: Settings
) -> list[Contender]:
    """Builds a network once, with random weights, and makes it ready in each mode."""
    if size < 1:
        raise UserInputError(f"--size {size}: expected 1 or more")
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = build().to(settings.device)
    pictures = torch.randn(settings.batch, 3, size, size, device=settings.device)
    few = torch.randn(2, 3, size, size, device=settings.device)
    settle(model, few)
    return [_contender(name, mode, model, pictures, few, settings.device) for mode in modes]


def _contender(name: str, mode: str, eager: nn.Module, pictures: Tensor, few: Tensor, device: str) -> Contender:
    model = MODES[mode](eager)
    with torch.inference_mode():
        difference = _difference(eager(few), model(few))
        for _ in range(_WARM_UP):
            model(pictures)
        peak = peak_memory(lambda: model(pictures), device)
    return Contender(
        name=name,
        mode=mode,
        size=pictures.shape[-1],
        parameters=sum(parameter.numel() for parameter in eager.parameters()),
        peak_memory=peak,
        difference=difference,
        memory_format=_memory_format(model),
        model=model,
        pictures=pictures,
    )


def _difference(expected: Tensor | Sequence[Tensor], given: Tensor | Sequence[Tensor]) -> float:
    pairs = [(expected, given)] if isinstance(expected, Tensor) else list(zip(expected, given, strict=True))
    return max(float((b - a).abs().max() / a.abs().max().clamp_min(1e-12)) for a, b in pairs)


def _memory_format(model: nn.Module) -> str:
    """Of the convolutions' weights: the first that tells the formats apart."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 4 and not tensor.is_contiguous():
            return "channels_last"
    return "contiguous"


def times_of(contenders: Sequence[Contender], settings: Settings) -> np.ndarray:
    """Seconds (repeats, rounds, contenders) of one forward each, interleaved."""
    times = interleaved(
        [contender.run for contender in contenders],
        settings.repeats * settings.rounds,
        warm_up=1,
        synchronise=synchroniser(settings.device),
        clock=CLOCKS[settings.clock],
    )
    return times.reshape(settings.repeats, settings.rounds, len(contenders))
