"""What the prefix trie saves: block evaluations, wall time and memory, against one scheme after the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backbones.errors import UserInputError
from backbones.memory_format import to_memory_format
from backbones.registry import create_backbone
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.engine.allocator import keep_freed_memory
from transfer.measure.memory import peak_memory
from transfer.measure.networks import settle
from transfer.measure.timed_models import Settings
from transfer.measure.timing import paired_ratio
from transfer.search.problem import Evaluation
from transfer.search.supernet.evaluator import TrieEvaluator

ALL = 0
"""Instead of a number of schemes: every one that there is."""

MOST = 2**16


def supernet(name: str, images: Tensor, seed: int = 0) -> AttentionResNet:
    """A registered network as a supernet in inference mode, with random weights and the statistics of `images`."""
    torch.manual_seed(seed)
    net: Any = create_backbone(name, supernet=True, num_classes=10)
    return settle(to_memory_format(net.to(images.device), torch.channels_last), images)


def draw_schemes(depths: Sequence[int], count: int, seed: int = 0) -> list[ConnectionScheme]:
    """Distinct random schemes; with `ALL`, every scheme.

    Raises:
        UserInputError: there are not as many, or too many to evaluate.
    """
    total = 2 ** sum(depths)
    if count > total or (count == ALL and total > MOST):
        raise UserInputError(f"--schemes {count}: the network has 2^{sum(depths)} schemes, expected 1 to {total}")
    if count == ALL:
        return [ConnectionScheme.from_bits(bits, depths) for bits in itertools.product((0, 1), repeat=sum(depths))]
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[ConnectionScheme, None] = {}
    while len(drawn) < count:
        drawn[ConnectionScheme.random(depths, 0.5, generator)] = None
    return list(drawn)


def measure_trie(name: str, *, schemes: int, size: int, sample: int, settings: Settings) -> dict[str, Any]:
    """Evaluates schemes by the trie, and a sample of them one at a time, in turns, on the same batch of images.

    Args:
        name: registered network with SAMs.
        schemes: how many random ones; `ALL` for every one.
        size: side of the images.
        sample: schemes that are evaluated one at a time; their time is extrapolated to all.
        settings: how to time.

    Returns:
        A row with `name`, `mode`, `batch`, `size`, `schemes`, `blocks_run`, `blocks_alone`, `blocks_saving`, `seconds`,
        `against`, `sample`, `alone_seconds` (of all schemes, extrapolated), `speedup`, `speedup_ci95`,
        `difference` (greatest deviation of a loss), `rounds`, `clock`, `threads`.

    Raises:
        UserInputError: a number that does not fit.
    """
    evaluator, wanted, (images, labels) = _problem(name, schemes, size, settings)
    rng = np.random.default_rng(settings.seed)
    picked = [wanted[i] for i in rng.permutation(len(wanted))[: max(1, sample)]]
    seen: dict[str, list[Evaluation]] = {}

    def together() -> None:
        seen["together"] = evaluator.evaluate(wanted)

    def alone() -> None:
        seen["alone"] = [evaluate_alone(evaluator.net, scheme, images, labels) for scheme in picked]

    evaluator.evaluate(wanted[:2])  # warms up
    before = evaluator.blocks.run, evaluator.blocks.alone
    times = settings.seconds([together, alone], device=settings.device)
    run, one_by_one = ((now - then) // settings.runs for now, then in zip(_counts(evaluator), before, strict=True))
    times[:, 1] *= len(wanted) / len(picked)
    ratio = paired_ratio(times[:, 1], times[:, 0], settings.seed)
    found = dict(zip(wanted, seen["together"], strict=True))
    deviations = [abs(found[s].loss - other.loss) for s, other in zip(picked, seen["alone"], strict=True)]
    return {
        "name": name,
        "mode": "trie",
        "batch": settings.batch,
        "size": size,
        "schemes": len(wanted),
        "blocks_run": run,
        "blocks_alone": one_by_one,
        "blocks_saving": one_by_one / run,
        "seconds": float(np.median(times[:, 0])),
        "against": "one at a time" + (f", extrapolated from {len(picked)}" if len(picked) < len(wanted) else ""),
        "sample": len(picked),
        "alone_seconds": float(np.median(times[:, 1])),
        **ratio.as_row("speedup"),
        "difference": max(deviations),
        **settings.as_row(),
    }


def measure_trie_memory(name: str, *, schemes: Sequence[int], size: int, settings: Settings) -> list[dict[str, Any]]:
    """Peak memory of the trie for several numbers of schemes, beside one batch of activations a level.

    Args:
        name: registered network with SAMs.
        schemes: numbers of random schemes.
        size: side of the images.
        settings: batch, device and seed.

    Returns:
        Rows with `name`, `mode`, `batch`, `size`, `schemes`, `peak_memory_mb`, `levels_mb` (a batch of activations
        for each level, together), `largest_mb` (of them).
    """
    rows = []
    for count in schemes:
        evaluator, wanted, (images, _) = _problem(name, count, size, settings)
        levels = _level_bytes(evaluator.net, images)
        peak = peak_memory(partial(evaluator.evaluate, wanted), settings.device)
        row = {"name": name, "mode": "memory", "batch": settings.batch, "size": size, "schemes": len(wanted)}
        rows.append(
            {**row, "peak_memory_mb": peak / 1e6, "levels_mb": sum(levels) / 1e6, "largest_mb": max(levels) / 1e6}
        )
    return rows


def evaluate_alone(net: AttentionResNet, scheme: ConnectionScheme, images: Tensor, labels: Tensor) -> Evaluation:
    """What a search without a trie does: sets the scheme, and runs the whole network."""
    net.scheme = scheme
    with torch.inference_mode():
        logits = net(images.contiguous(memory_format=torch.channels_last))
        correct = 100 * float((logits.argmax(1) == labels).double().mean())
        return Evaluation(accuracy=correct, loss=float(F.cross_entropy(logits, labels)), n=len(labels))


def _problem(
    name: str, schemes: int, size: int, settings: Settings
) -> tuple[TrieEvaluator, list[ConnectionScheme], tuple[Tensor, Tensor]]:
    """An evaluator of a supernet with random weights, schemes, and one batch of noise."""
    if schemes < 0 or size < 1:
        raise UserInputError(f"--schemes {schemes}, --size {size}: expected 1 or more")
    keep_freed_memory()
    settings.set_threads()
    batch = noise(settings.batch, size, settings)
    net = supernet(name, noise(max(2, settings.batch), size, settings)[0], settings.seed)
    evaluator = TrieEvaluator(net, [batch], channels_last=True)
    return evaluator, draw_schemes(net.arch.depths, schemes, settings.seed), batch


def noise(count: int, size: int, settings: Settings) -> tuple[Tensor, Tensor]:
    """Images (count, 3, size, size) and labels of ten classes."""
    generator = torch.Generator().manual_seed(settings.seed)
    images = torch.randn(count, 3, size, size, generator=generator)
    return images.to(settings.device), torch.randint(0, 10, (count,), generator=generator).to(settings.device)


def _counts(evaluator: TrieEvaluator) -> tuple[int, int]:
    return evaluator.blocks.run, evaluator.blocks.alone


def _level_bytes(net: AttentionResNet, images: Tensor) -> list[int]:
    """Bytes of one batch before the first block and after each."""
    with torch.inference_mode():
        x = net.stem(images.contiguous(memory_format=torch.channels_last))
        found = [x.nbytes]
        for stage in range(len(net.arch.depths)):
            for block in getattr(net, f"layer{stage + 1}"):
                x = block(x)
                found.append(x.nbytes)
    return found
