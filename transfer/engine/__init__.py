"""mmengine glue shared by all tasks; importing it puts the guards in place and fills mmengine's registries."""

from transfer.engine import compat

compat.install()

from transfer.engine.amp import AutocastOptimWrapper  # noqa: E402
from transfer.engine.backbone import RegisteredBackbone  # noqa: E402
from transfer.engine.checkpoint import AtomicBackend, PlainCheckpointHook  # noqa: E402
from transfer.engine.curve import CurvePictureHook  # noqa: E402
from transfer.engine.data import find_data  # noqa: E402
from transfer.engine.hooks import FiniteLossHook, IterationSeedHook, StopInValidationHook  # noqa: E402
from transfer.engine.loops import ResumableTrainLoop  # noqa: E402
from transfer.engine.progress import CurveHook, ProgressHook  # noqa: E402
from transfer.engine.sampling import EpochIndex, ResumableSampler  # noqa: E402

__all__ = [
    "AtomicBackend",
    "AutocastOptimWrapper",
    "CurveHook",
    "CurvePictureHook",
    "EpochIndex",
    "FiniteLossHook",
    "IterationSeedHook",
    "PlainCheckpointHook",
    "ProgressHook",
    "RegisteredBackbone",
    "ResumableSampler",
    "ResumableTrainLoop",
    "StopInValidationHook",
    "find_data",
]
