"""Knowledge distillation (Hinton et al., 2015; RARTS thesis, Section 4.2.1): a pruned network learns from the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from backbones.errors import UserInputError
from tasks.classification.classifier import Classifier


def distillation_loss(student_NK: Tensor, teacher_NK: Tensor, temperature: float, *, t_squared: bool = False) -> Tensor:
    """`1/N sum_n KL(softmax(U / T) || softmax(V / T))` of teacher's logits U and student's V, a scalar in nats.

    Args:
        student_NK: V, which gets the gradient.
        teacher_NK: U.
        temperature: T.
        t_squared: times T^2, which keeps the gradient's size whatever T (Hinton et al.); not in the thesis's formula.
    """
    log_q = F.log_softmax(student_NK.float() / temperature, 1)
    log_p = F.log_softmax(teacher_NK.float() / temperature, 1)
    loss = (log_p.exp() * (log_p - log_q)).sum(1).mean()
    return loss * temperature**2 if t_squared else loss


@MODELS.register_module()
class DistilledClassifier(Classifier):
    """A `Classifier` whose loss is cross-entropy + weight * distillation; checkpoints and tests are a `Classifier`'s.

    Args:
        backbone, num_classes, data_preprocessor, channels_last, init_cfg: see `Classifier`.
        teacher: the `RegisteredBackbone` that is learned from, with its weights; frozen, in eval mode, and no part of
            the model's state. Read when training begins.
        kd_weight: of the distillation; the thesis does not state it.
        temperature: T.
        t_squared: see `distillation_loss`.

    Raises:
        UserInputError: a teacher without weights, or a number out of range.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        num_classes: int,
        teacher: Mapping[str, Any],
        kd_weight: float = 1.0,
        temperature: float = 4.0,
        t_squared: bool = False,
        data_preprocessor: Mapping[str, Any] | None = None,
        channels_last: bool = False,
        init_cfg: Any = None,
    ) -> None:
        if not temperature > 0:
            raise UserInputError(f"model.temperature={temperature}: expected a number above 0")
        if not kd_weight >= 0:
            raise UserInputError(f"model.kd_weight={kd_weight}: expected a number of at least 0")
        if teacher.get("init", "scratch") == "scratch":
            raise UserInputError("model.teacher: has no weights to teach from; set its init='full', and weights=FILE")
        super().__init__(backbone, num_classes, data_preprocessor, channels_last, init_cfg)
        self.kd_weight, self.temperature, self.t_squared = kd_weight, temperature, t_squared
        self._given = {**teacher, "num_classes": num_classes}
        self._teacher: list[nn.Module] = []  # in a list, so that it is no part of the model

    @property
    def teacher(self) -> nn.Module:
        """The network that is learned from, where the model is."""
        if not self._teacher:
            net = MODELS.build(self._given).eval().requires_grad_(False)
            self._teacher.append(net.to(next(self.parameters()).device, memory_format=self.memory_format))
        return self._teacher[0]

    def loss(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy and distillation: `loss_ce`, `loss_kd`, whose sum is the loss."""
        student = self.backbone(inputs)
        with torch.no_grad():
            teacher = self.teacher(inputs)
        found = distillation_loss(student, teacher, self.temperature, t_squared=self.t_squared)
        return {"loss_ce": F.cross_entropy(student.float(), labels), "loss_kd": self.kd_weight * found}
