"""Accuracy and loss of many connection schemes of one supernet, at a fraction of the cost of one after the other.

Schemes that agree on their first k blocks share those activations: a depth-first walk over the trie of the requested
schemes runs each distinct prefix once, and the convolutions of a block once for both of its values. Nothing is
approximated. Batches of images are the outer loop, the trie the inner one: what is pending then is one batch of
activations a level, whatever the number of images and schemes; the other order would keep all images a level. It costs
nothing, because even recalibration needs no more than sums over batches, and the trie has enough work for a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from backbones.attention import State
from backbones.errors import UserInputError, did_you_mean
from backbones.memory_format import to_memory_format
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.search.problem import Evaluation
from transfer.search.supernet._calibration import bind, collecting, norms_of
from transfer.search.supernet._trie import Node, SchemeTrie

BN_MODES = ("running", "recalibrated")
PRECISIONS = ("float32", "bfloat16")

Batch = tuple[Tensor, Tensor]
"""Normalised images (N, C, H, W) and labels (N,)."""


@dataclass
class BlockCount:
    """Block evaluations, each for one batch: those that ran, and those that one scheme at a time would have taken."""

    run: int = 0
    alone: int = 0

    @property
    def saving(self) -> float:
        """How many times fewer blocks ran."""
        return self.alone / self.run if self.run else 1.0


class TrieEvaluator:
    """Evaluates connection schemes of a supernet whose weights are frozen.

    It works on a copy: neither the supernet's weights nor its statistics, mode or scheme are touched, and training it
    further does not change the evaluator. The result for a scheme does not depend on what it is evaluated with.

    Args:
        net: a supernet with a classifier.
        batches: labelled images, iterated once an evaluation; a list, or a loader that can be iterated again.
        bn: `"running"`, the supernet's running statistics (as the authors' code); `"recalibrated"`, statistics of the
            scheme itself over `calibration`, in a pass of their own.
        calibration: images to take statistics from, iterated once an evaluation; labels are ignored. All batches
            weigh the same and are normalised by themselves on the way: make them large and of one size.
        precision: `"float32"`; `"bfloat16"`, mixed precision: faster where the device computes in it, but schemes that
            are close may change places.
        device: where to compute; default where `net` is.
        channels_last: memory format; the faster one for small networks on CPUs.

    Attributes:
        blocks: block evaluations so far, calibration included.

    Raises:
        UserInputError: no supernet, no classifier, unknown `bn` or `precision`, no calibration images, or a shared SAM
            that normalises and so cannot be recalibrated block by block.
    """

    def __init__(
        self,
        net: AttentionResNet,
        batches: Iterable[Batch],
        *,
        bn: str = "running",
        calibration: Iterable[Batch] | None = None,
        precision: str = "float32",
        device: torch.device | str | None = None,
        channels_last: bool = False,
    ) -> None:
        if not net.supernet or net.num_classes is None:
            raise UserInputError("evaluating schemes needs a network with supernet=True and num_classes")
        for key, value, known in (("bn", bn, BN_MODES), ("precision", precision, PRECISIONS)):
            if value not in known:
                raise UserInputError(
                    f"{key}={value!r}: expected one of {', '.join(map(repr, known))}.{did_you_mean(value, known)}"
                )
        if bn == "recalibrated" and calibration is None:
            raise UserInputError("bn='recalibrated' needs calibration images, taken from the training set")
        if bn == "recalibrated" and net.sharing == "stage" and norms_of(getattr(net, "attention", None)):
            # One set of statistics for all its blocks: an average that depends on later bits, so no prefix has it.
            raise UserInputError(
                "bn='recalibrated' with sharing='stage': the shared SAM has batch normalisation of its own, whose "
                "statistics are not those of any one block; use bn='running' or sharing='block'"
            )
        self.bn, self.batches, self.calibration, self.precision = bn, batches, calibration, precision
        self.device = torch.device(device) if device is not None else next(net.parameters()).device
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.net = copy.deepcopy(net).requires_grad_(False).eval()
        self.net = to_memory_format(self.net.to(self.device), self.memory_format)
        depths = net.arch.depths
        self.positions = [(stage, block) for stage, depth in enumerate(depths) for block in range(depth)]
        self.blocks = BlockCount()

    @torch.inference_mode()
    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """Returns one evaluation a scheme, in the given order; repeated schemes are evaluated once.

        Raises:
            UserInputError: no scheme, a scheme of another network, no images.
        """
        for scheme in schemes:
            scheme.check_depths(self.net.arch.depths)
        trie = SchemeTrie(schemes)
        if self.bn == "recalibrated":
            self._calibrate(trie)
        found = dict(zip(trie.schemes, self._score(trie), strict=True))
        return [found[scheme] for scheme in schemes]

    def _calibrate(self, trie: SchemeTrie) -> None:
        """First pass: every node of the trie gets the statistics of all calibration images."""
        with collecting(self.net):
            for images, _ in self.calibration or ():
                for _ in self._logits(trie, images):
                    pass

    def _score(self, trie: SchemeTrie) -> list[Evaluation]:
        """Second pass, or the only one: correct predictions and summed loss of every leaf."""
        totals, count = torch.zeros(len(trie.schemes), 2, dtype=torch.float64), 0
        for images, labels in self.batches:
            labels = labels.to(self.device)
            scores: list[Tensor] = [torch.empty(0)] * len(trie.schemes)
            for leaf, logits in self._logits(trie, images):
                correct = (logits.argmax(1) == labels).sum()
                scores[leaf] = torch.stack((correct, F.cross_entropy(logits.float(), labels, reduction="sum")))
            totals += torch.stack(scores).cpu().double()  # one wait for the device a batch
            count += len(labels)
        if not count:
            raise UserInputError("no images to evaluate schemes on, expected at least one batch")
        return [
            Evaluation(accuracy=100 * correct / count, loss=loss / count, n=count) for correct, loss in totals.tolist()
        ]

    def _logits(self, trie: SchemeTrie, images: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Walks the trie depth first with one batch; yields each leaf's index and logits."""
        self.blocks.run += trie.inner
        self.blocks.alone += trie.alone
        pending: list[tuple[Node, Tensor, State]] = [(trie.root, self._stem(trie.root, images), None)]
        while pending:
            # The newest first: of each level, no more than one sibling waits with its activations.
            node, x, state = pending.pop()
            if node.leaf is None:
                pending.extend(self._children(node, x, state))
                continue
            with self._mixed():
                logits = self.net.head(x)
            yield node.leaf, logits

    def _mixed(self) -> AbstractContextManager[Any]:
        """Mixed precision for what the network computes; around each call, because a generator must not hold it."""
        if self.precision == "float32":
            return nullcontext()
        # Without the cache of cast weights: it would take memory for nothing, and holds no inference tensors.
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def _stem(self, root: Node, images: Tensor) -> Tensor:
        if self.bn == "recalibrated":
            bind(norms_of(*self.net.stem_modules), root.statistics)
        with self._mixed():
            return self.net.stem(images.to(self.device).contiguous(memory_format=self.memory_format))

    def _children(self, node: Node, x: Tensor, state: State) -> list[tuple[Node, Tensor, State]]:
        """Runs a node's block: its convolutions once, then what each child makes of them."""
        stage, block = self.positions[node.position]
        layer, sam = getattr(self.net, f"layer{stage + 1}")[block], self.net.sam(stage, block)
        state = None if block == 0 else state  # DIA's state begins anew in each stage
        if self.bn == "recalibrated":
            bind(norms_of(layer, sam), node.statistics)
        found: list[tuple[Node, Tensor, State]] = []
        with self._mixed():
            residual, shortcut = layer.residual(x), layer.shortcut(x)
            for bit, child in node.children:
                if self.bn == "recalibrated":
                    bind(norms_of(layer.norm_after), child.statistics)
                if bit:
                    assert sam is not None  # a supernet has one at every block
                    found.append((child, *layer.connect(sam, residual, shortcut, state)))
                else:
                    found.append((child, layer.activate(residual + shortcut), state))
        return found
