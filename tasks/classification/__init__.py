"""Image classification: where connection schemes are searched and backbones trained.

Importing it fills mmengine's registries.
"""

from tasks.classification.cifar import Cifar100
from tasks.classification.classifier import Classifier
from tasks.classification.digits import Digits
from tasks.classification.distillation import DistilledClassifier
from tasks.classification.folder import ImageFolder
from tasks.classification.hooks import ImageSizeHook
from tasks.classification.metric import TopKMetric
from tasks.classification.preprocessor import ClassificationPreprocessor

__all__ = [
    "Cifar100",
    "ClassificationPreprocessor",
    "Classifier",
    "Digits",
    "DistilledClassifier",
    "ImageFolder",
    "ImageSizeHook",
    "TopKMetric",
]
