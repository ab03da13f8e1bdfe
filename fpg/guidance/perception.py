"""How guidance looks at forgeries: pass by pass, or as CUDA graphs, which cost the host one call instead of a thousand.

A perception pass launches as many kernels as a training pass, for half of its images: on a GPU that computes faster than the host can
launch, it costs as much time. Its work never changes (evaluation mode, no random numbers, weights in place), so that it can be captured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from fpg.guidance.magnitude import input_gradient
from fpg.guidance.response_map import Perceiver, response_map

Output = TypeVar("Output", Tensor, tuple[Tensor, Tensor])
Capture = Callable[[Callable[[], tuple[Tensor, ...]]], tuple[Callable[[], None], tuple[Tensor, ...]]]
"""A function that reads tensors which stay where they are, to: what does it again, and its outputs, which are written anew each time."""
SHAPES = 2
"""Shapes of batches that are captured; others go pass by pass (a batch in which a face could not be read)."""


class _Captured(NamedTuple):
    images: Tensor
    """What the pass reads."""
    replay: Callable[[], None]
    outputs: tuple[Tensor, ...]


class Perception:
    """The passes of guidance, one after another.

    Args:
        model: a detector, not wrapped for distributed training.
    """

    def __init__(self, model: Perceiver) -> None:
        self.model = model

    def response_map(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `fpg.guidance.response_map.response_map`."""
        return response_map(self.model, images)

    def input_gradient(self, images: Tensor) -> Tensor:
        """See `fpg.guidance.magnitude.input_gradient`."""
        return input_gradient(self.model, images)


class GraphedPerception(Perception):
    """The same passes, captured when a shape is first seen. Costs the memory of their activations for good.

    The model's weights and statistics may change in place, as optimisers change them, but not be replaced.

    Args:
        model: on a GPU.
        capture: how; another one for tests.
    """

    def __init__(self, model: Perceiver, capture: Capture | None = None) -> None:
        super().__init__(model)
        self._capture = capture or cuda_graph
        self._captured: dict[tuple[object, ...], _Captured] = {}

    def response_map(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Perception`."""
        maps, probability = self._replayed("response_map", images, super().response_map)
        return maps, probability

    def input_gradient(self, images: Tensor) -> Tensor:
        """See `Perception`."""
        (gradient,) = self._replayed("input_gradient", images, super().input_gradient)
        return gradient

    def _replayed(self, name: str, images: Tensor, compute: Callable[[Tensor], Output]) -> tuple[Tensor, ...]:
        def outputs(of: Tensor) -> tuple[Tensor, ...]:
            result = compute(of)
            return (result,) if isinstance(result, Tensor) else cast(tuple[Tensor, ...], result)

        kind = images.device.type
        half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        key = (name, tuple(images.shape), images.stride(), half)
        if key not in self._captured:
            if sum(other[0] == name for other in self._captured) == SHAPES:
                return outputs(images)
            static = images.detach().clone()
            self._captured[key] = _Captured(static, *self._capture(lambda: outputs(static)))
        known = self._captured[key]
        known.images.copy_(images)
        known.replay()
        return tuple(output.clone() for output in known.outputs)


def cuda_graph(function: Callable[[], tuple[Tensor, ...]]) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """See `Capture`; three rounds go first, in which cuDNN chooses its algorithms and kernels are loaded."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # loaders' threads may use the GPU meanwhile
        outputs = function()
    return graph.replay, outputs
