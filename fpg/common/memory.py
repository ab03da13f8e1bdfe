"""How the C library's allocator treats large, short-lived arrays: kept while training, given back between the inputs of a service."""

from __future__ import annotations

import ctypes
import gc
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Parameters of glibc's `mallopt`, see malloc.h."""


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory instead of giving it back to the system, from which every activation would be fetched, page by page
    and zeroed, again in the next step. A step of EfficientNet-Lite0 at 160 px then takes two thirds of the processor time.

    Returns:
        Whether the C library is one that can be told so (glibc on Linux).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def return_freed_memory() -> bool:
    """Collect what hangs in reference cycles, and have glibc give freed memory back to the system.

    A frame of PyAV whose side data was looked at is part of a cycle, and keeps its pixels until Python's next full collection; and what
    lies free between blocks in use is kept by the allocator, as frames are freed by other threads than those that allocated them. A worker
    that judged videos for five minutes held 1.2 GB, half of it for nothing.

    Returns:
        Whether the C library is one that can be told so (glibc on Linux).
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        return False
    trim(0)
    return True
