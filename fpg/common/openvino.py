"""The one OpenVINO core of a process.

OpenVINO's CPU plugin gives the thread an alternate signal stack and, when a core is let go, puts back the stack that was there before.
With several cores that can be the freed stack of another one; the next signal that Python handles (Ctrl-C, SIGTERM, the end of a child)
then kills the process with a segmentation fault. One core that lives as long as the process never does that.
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def core() -> Any:
    """`openvino.Core`, made once per process.

    Raises:
        ImportError: OpenVINO is not installed or does not load.
    """
    import openvino

    return openvino.Core()
