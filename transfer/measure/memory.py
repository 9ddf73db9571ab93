"""How much memory a piece of work needs at once, beside what is held before it; what malloc does with it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

_EVENT = "[memory]"
_LARGE = 2**26
"""Bytes that glibc gets from the system as a block of their own, unless it was told not to."""


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


class _MallocInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", *"abcdef"))


def malloc_in_use() -> str:
    """How large blocks are allocated: `default`, `kept` after `keep_freed_memory`; `unknown` without glibc 2.33."""
    try:
        info = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return "unknown"
    info.restype = _MallocInfo
    before = info().hblks
    block = torch.empty(_LARGE, dtype=torch.uint8)
    mapped = info().hblks - before
    del block
    return "default" if mapped else "kept"
