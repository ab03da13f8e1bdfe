"""Counting floating-point operations, for fractions of what a device can do and for ratios that do not depend on one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Flops(TorchDispatchMode):
    """Adds up convolutions and matrix products with the formulas of torch's flop counter, but for the backward pass of convolutions.

    torch counts the gradient of a depthwise convolution's weights once per group too often; and `FlopCounterMode` follows modules with
    hooks that refuse `autograd.grad` to what goes into a module, which is how guidance perceives.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket is torch.ops.aten.convolution_backward:
            gradient, _, weight, *_, (to_input, to_weight, _) = args
            self.total += 2 * gradient.numel() * weight[0].numel() * (to_input + to_weight)
        elif func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def flops(call: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products, two for a multiplication with an addition.

    Counted where the host is fast enough to look at every operation: on a CPU. The number is the same on every device.
    """
    with Flops() as counter:
        call()
    return counter.total
