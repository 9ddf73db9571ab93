"""Semantic segmentation with mmsegmentation; importing it puts guards in place, then fills mmengine's registries."""

import warnings

import transfer.engine  # noqa: F401  (the guards, before anything of mmsegmentation is imported)
from tasks.segmentation import adapt, dataset, hooks, metric, transforms  # noqa: F401
from tasks.segmentation.agreement import settle as complete_config  # noqa: F401  (what `prepare` looks for)

# mmsegmentation about its own calls.
warnings.filterwarnings("ignore", message="``build_loss`` would be deprecated")
