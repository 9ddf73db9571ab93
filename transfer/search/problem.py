"""What is searched: the contract between search methods and whatever evaluates connection schemes. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme

if TYPE_CHECKING:
    from torch import Tensor

    from backbones.resnet import AttentionResNet


@dataclass(frozen=True)
class Evaluation:
    """What a connection scheme is worth.

    Attributes:
        accuracy: top-1, in percent.
        loss: mean cross-entropy, in nats.
        n: number of images.
    """

    accuracy: float
    loss: float
    n: int


@runtime_checkable
class SearchProblem(Protocol):
    """Anything that evaluates connection schemes: a supernet, a table, a formula, a cluster.

    It may also offer `settings`, plain values that say everything that an evaluation depends on (for a supernet its
    checkpoint's `supernet_sha256` among them): a log belongs to one problem by them.

    Attributes:
        depths: residual blocks of each stage.
    """

    depths: tuple[int, ...]

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """Returns one evaluation a scheme, in the given order. The same scheme always gets the same one."""
        ...


class WrappedProblem:
    """A problem around another one, whose attributes it has too.

    Args:
        problem: the inner one.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self.problem, self.depths = problem, tuple(problem.depths)

    def __getattr__(self, name: str) -> Any:
        if name == "problem" or name.startswith("_"):  # a copy that is not filled yet has nothing to ask
            raise AttributeError(name)
        return getattr(self.problem, name)


def settings_of(problem: SearchProblem) -> dict[str, Any]:
    """The problem's settings, its depths among them, in plain values."""
    return {**getattr(problem, "settings", {}), "depths": list(problem.depths)}


def supernet_in(problem: SearchProblem, method: str) -> AttentionResNet:
    """The problem's supernet with a classifier, for methods that train it or look at its weights.

    Raises:
        UserInputError: the problem has none.
    """
    net = getattr(problem, "supernet", None)
    if net is None or not net.supernet or net.num_classes is None:
        raise UserInputError(
            f"method {method!r} looks inside a supernet with a classifier, but {type(problem).__name__} offers none: "
            "search a trained supernet, or choose a method that only asks for evaluations"
        )
    return net


def loaders_in(
    problem: SearchProblem, method: str
) -> tuple[Iterable[tuple[Tensor, Tensor]], Iterable[tuple[Tensor, Tensor]]]:
    """The problem's batches of normalised images and labels, of D_train and D_val; each iteration is an epoch.

    They are the problem's `loaders`, or its `train_loader` and `val_loader`.

    Raises:
        UserInputError: the problem has none.
    """
    train, val = getattr(problem, "loaders", None) or (
        getattr(problem, "train_loader", None),
        getattr(problem, "val_loader", None),
    )
    if train is None or val is None:
        raise UserInputError(f"method {method!r} trains the supernet, but {type(problem).__name__} offers no loaders")
    return train, val
