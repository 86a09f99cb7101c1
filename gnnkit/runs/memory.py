"""What this process does with memory that it has freed."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1
_MOST_OF_OLD = 2**25  # the largest threshold for maps that older versions take


@cache
def keep_freed_memory() -> bool:
    """Let this process keep for itself, until it ends, memory that it frees; whether it will.

    A training step over a long sequence frees hundreds of megabytes and asks for them again in the next. glibc
    gives them back to the system in between, which then clears every page anew: half of the time of an LSTM
    over 300 steps. Results do not change. The process stays as large as it ever was, which another job beside
    it may not like: this is for processes whose work is such a training.

    Nothing happens where the C library is another, or where the environment says how it shall do this
    (``MALLOC_...``, ``GLIBC_TUNABLES``).
    """
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    maps_none = mallopt(_M_MMAP_THRESHOLD, _MOST) or mallopt(_M_MMAP_THRESHOLD, _MOST_OF_OLD)
    return bool(mallopt(_M_TRIM_THRESHOLD, _MOST) and maps_none)
