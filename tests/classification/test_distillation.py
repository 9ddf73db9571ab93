"""Distillation against numpy; the teacher is no part of the student."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backbones.errors import UserInputError
from backbones.registry import create_backbone
from tasks.classification import Classifier, DistilledClassifier
from tasks.classification.distillation import distillation_loss

NET = {"type": "RegisteredBackbone", "name": "preresnet20.cifar100"}
PRUNED = "8x8*2.9x16*2.32x32*2"


def softmax(logits):
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


@pytest.mark.parametrize("t_squared", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_is_the_divergence_from_the_teacher(temperature, t_squared):
    student, teacher = np.random.default_rng(0).normal(0, 3, (2, 5, 7))
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    expected = np.mean(np.sum(p * np.log(p / q), axis=1)) * (temperature**2 if t_squared else 1)
    found = distillation_loss(torch.tensor(student), torch.tensor(teacher), temperature, t_squared=t_squared)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    other = distillation_loss(torch.tensor(teacher), torch.tensor(student), temperature, t_squared=t_squared)
    assert abs(other.item() - expected) > 0.01 * expected, "the direction counts"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.pth"
    torch.save(create_backbone("preresnet20.cifar100", num_classes=5).state_dict(), path)
    return {**NET, "init": "full", "weights": str(path)}


def distilled(teacher, **options):
    torch.manual_seed(1)
    return DistilledClassifier({**NET, "widths": PRUNED}, 5, teacher, **options)


def test_the_student_alone_gets_gradients_and_is_saved(teacher):
    model, images, labels = distilled(teacher, kd_weight=0.5).train(), torch.randn(4, 3, 8, 8), torch.arange(4)
    found = model.loss(images, labels)
    assert set(model.state_dict()) == set(Classifier({**NET, "widths": PRUNED}, 5).state_dict())
    assert not model.teacher.training and not any(p.requires_grad for p in model.teacher.parameters())
    before = [p.clone() for p in model.teacher.parameters()]
    sum(found.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.train()
    assert not model.teacher.training
    assert all(torch.equal(a, b) for a, b in zip(before, model.teacher.parameters(), strict=True))
    with torch.no_grad():
        logits, taught = model.backbone(images), model.teacher(images)
    assert found["loss_ce"].item() == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert found["loss_kd"].item() == pytest.approx(0.5 * distillation_loss(logits, taught, 4.0).item(), rel=1e-4)


def test_a_student_that_equals_its_teacher_learns_nothing_from_it(teacher):
    model = DistilledClassifier({**NET}, 5, teacher).eval()
    model.backbone.load_state_dict(model.teacher.state_dict())
    assert model.loss(torch.randn(2, 3, 8, 8), torch.arange(2))["loss_kd"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("changes", [{"temperature": 0.0}, {"kd_weight": -1.0}])
def test_numbers_out_of_range_are_named(teacher, changes):
    with pytest.raises(UserInputError, match=next(iter(changes))):
        distilled(teacher, **changes)


def test_a_teacher_without_weights_is_refused():
    with pytest.raises(UserInputError, match=r"model.teacher.*init='full'"):
        distilled(NET)
