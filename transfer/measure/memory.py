"""How much memory a piece of work needs at once, beside what is held before it."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

_EVENT = "[memory]"


def peak_memory(function: Callable[[], object], device: str | torch.device = "cpu") -> int:
    """Returns the greatest number of bytes that tensors made by `function` hold at a time.

    On CPUs every allocation of torch is counted, whatever malloc makes of it; what a library allocates past torch is
    not.
    """
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler announces itself on standard error
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = function()
    del kept  # not before the profile has ended
    held = peak = 0
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == _EVENT]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
