"""Crowd counting; importing it fills mmengine's registries with data sets, transforms, models, metrics and hooks."""

from tasks.counting import counter, dataset, heads, hooks, losses, metric, preprocessor, transforms  # noqa: F401
