"""The one OpenVINO core of a process.

OpenVINO's CPU plugin gives the thread an alternate signal stack and, when a core is let go, puts back the stack that was there before.
With several cores that can be the freed stack of another one; the next signal that Python handles (Ctrl-C, SIGTERM, the end of a child)
then kills the process with a segmentation fault. One core that lives as long as the process never does that.

The first array of a tensor (`Tensor.data`) makes a table inside OpenVINO's bindings. The thread that makes it runs Python code while it
holds the table's lock; another that wants the table waits for that lock and holds Python's. Neither goes on: two videos judged at the same
time could stand still at their first faces. So the table is made here, before there is anything to ask for.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np

_LOCK = threading.Lock()


def core() -> Any:
    """`openvino.Core`, made once per process, whichever thread asks first.

    Raises:
        ImportError: OpenVINO is not installed or does not load.
    """
    with _LOCK:
        return _made()


@functools.cache
def _made() -> Any:
    import openvino

    openvino.Tensor(np.zeros(1, np.float32)).data  # noqa: B018 (makes the table)
    return openvino.Core()
