"""Memory that a step frees stays with the process, for the next step."""

from __future__ import annotations

import ctypes
import platform

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_INT_MAX = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tells glibc's malloc not to hand freed blocks back to the system; returns whether it took it.

    By default every activation of more than 32 MB is mapped anew, and zeroed page by page, in each step: about a tenth
    of a training step on CPUs, and up to two fifths of a forward pass. Does nothing with other C libraries.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _INT_MAX))
