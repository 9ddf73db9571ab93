"""Top-1 and top-5 accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from torch import Tensor

from transfer.engine.inference import check_finite


def label_ranks(scores_NK: Tensor, labels_N: Tensor) -> Tensor:
    """Ranks (N,) of the true classes: how many classes come before them, 0 for a correct top-1 prediction.

    Of equal scores the class with the lower index comes first. A row with a NaN has predicted nothing: rank K.

    >>> label_ranks(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), torch.tensor([2, 1]))
    tensor([1, 1])
    """
    own_N1 = scores_NK.gather(1, labels_N[:, None])
    classes = torch.arange(scores_NK.shape[1], device=scores_NK.device)
    before_NK = (scores_NK > own_N1) | ((scores_NK == own_N1) & (classes < labels_N[:, None]))
    return torch.where(scores_NK.isnan().any(1), scores_NK.shape[1], before_NK.sum(1))


def top_k_accuracy(ranks_N: Tensor, k: int) -> float:
    """Percentage of images whose true class is among the first k."""
    return 100 * (ranks_N < k).double().mean().item()


@METRICS.register_module()
class TopKMetric(BaseMetric):
    """`top1` and `top5`, in percent of the images."""

    figures = ("top1", "top5")

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes a batch of `Classifier`'s predictions; raises `RunError` where scores are not finite."""
        scores = torch.stack([sample["scores"] for sample in data_samples])
        check_finite(scores)
        labels = torch.stack([sample["labels"] for sample in data_samples])
        self.results.extend(label_ranks(scores, labels).tolist())

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        """Both accuracies over all images."""
        ranks = torch.tensor(results)
        return {f"top{k}": top_k_accuracy(ranks, k) for k in (1, 5)}
