"""What every engine is: a spec, and images in, logits and activation map out. NumPy only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from fpg.common.errors import InputError, UsageError
from fpg.common.spec import DETECTOR, EngineSpec, reference_input


class EngineOutput(NamedTuple):
    """What an engine answers for a batch."""

    logits: np.ndarray
    """float32 [B, 2]: real, fake."""
    activation_map: np.ndarray | None = None
    """float32 [B, h, w]: class activation of "fake"; its mean over space plus a constant is the logit of "fake". None where the score is
    no such mean (`EngineSpec.map_size`)."""


class Engine(Protocol):
    """A loaded detector."""

    @property
    def spec(self) -> EngineSpec:
        """What was loaded."""

    @property
    def device(self) -> str:
        """Where it runs, e.g. `cpu`, `cuda`."""

    def __call__(self, images: np.ndarray) -> EngineOutput:
        """RGB float32 [B, 3, S, S] in [0, 1] -> `EngineOutput`; any B >= 0 unless the spec bounds it."""


class CheckedEngine(ABC):
    """Base of the engines: checks the input once, so that every backend refuses the same things in the same words."""

    looks_at_range = False
    """Whether `_run` calls `check_range` itself, because it can look where, or while, the images are computed with."""

    def __init__(self, spec: EngineSpec, device: str) -> None:
        self.spec = spec
        self.device = device

    def __call__(self, images: np.ndarray) -> EngineOutput:
        """See `Engine`; for the forgery detector.

        Raises:
            ValueError: another shape, type or range, or NaN.
        """
        return EngineOutput(*self.run(images))

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """RGB float32 [B, 3, S, S] in [0, 1] -> the outputs of `EngineSpec.outputs` in order, float32 [B, ...]; of any network.

        Raises:
            ValueError: another shape, type or range, or NaN.
            InputError: the detector's answer has another shape than its sidecar says.
        """
        check_shape(images, self.spec.image_size)
        if len(images) == 0:
            return [np.zeros((0, *shape), np.float32) for shape in self.spec.outputs.values()]
        images = np.ascontiguousarray(images)
        if not self.looks_at_range:
            check_range(*extremes(images))
        values = [np.asarray(value, np.float32) for value in self._run(images)]
        if self.spec.network == DETECTOR:
            for (name, shape), value in zip(self.spec.outputs.items(), values, strict=True):
                if value.shape != (len(images), *shape):
                    what = f"answers with {name} of {list(value.shape)}, its sidecar says {[len(images), *shape]}"
                    raise InputError(self.spec.model_file, what, "invalid")
        return values

    @abstractmethod
    def _run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        """Contiguous images, at least one, of the right shape and range (`looks_at_range` apart) -> the outputs in order."""


def check_shape(images: np.ndarray, size: int) -> None:
    """Refuse what is not a batch for a network of that image size; no pixel is read.

    Raises:
        ValueError: naming what was expected and what came.
    """
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[1:] != (3, size, size):
        raise ValueError(f"images: expected float32 [B, 3, {size}, {size}], got {images.dtype} {list(images.shape)}")


def extremes(images: np.ndarray) -> tuple[float, float]:
    """The least and the largest value of a batch, NaN where there is one; image by image, so that each is read from memory once."""
    found = np.array([(image.min(), image.max()) for image in images])
    return float(found[:, 0].min()), float(found[:, 1].max())


def check_range(least: float, largest: float) -> None:
    """Refuse a batch whose values are not in [0, 1].

    Raises:
        ValueError: naming the range that came.
    """
    if not (least >= 0 and largest <= 1):
        raise ValueError(f"images: expected values in [0, 1], got [{least:g}, {largest:g}]")


def choose_device(wanted: str, available: Mapping[str, str], default: str, backend: str) -> str:
    """The backend's own name for a device.

    Args:
        wanted: `auto` or a name in `available`.
        available: name -> the backend's name.
        default: the name that `auto` means.
        backend: for the message.

    Raises:
        UsageError: the backend has no such device here.
    """
    name = default if wanted == "auto" else wanted.lower()
    if name not in available:
        raise UsageError(f"device: {backend} has {', '.join(['auto', *available])} here, got {wanted}")
    return available[name]


def fake_probability(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax probability of "fake".

    Args:
        logits: float [B, 2].
        temperature: > 0; logits are divided by it.

    Returns:
        float32 [B].

    Raises:
        ValueError: another shape, or a temperature that is not positive.
    """
    if logits.ndim != 2 or logits.shape[1] != 2:
        raise ValueError(f"logits: expected [B, 2], got {list(logits.shape)}")
    if not temperature > 0:
        raise ValueError(f"temperature: expected > 0, got {temperature}")
    with np.errstate(invalid="ignore", over="ignore"):  # the caller sees that a logit is not finite
        difference = (logits[:, 1].astype(np.float64) - logits[:, 0]) / temperature
    return (0.5 * (1 + np.tanh(0.5 * difference))).astype(np.float32)


def reference_difference(engine: Engine) -> float:
    """Largest difference of probability between an engine and the reference output in its sidecar; 0 when it has none.

    The sidecar's `tolerance` says what is acceptable.
    """
    reference = engine.spec.reference
    if reference is None:
        return 0.0
    images = reference_input(reference["seed"], reference["batch"], engine.spec.image_size)
    expected = fake_probability(np.asarray(reference["logits"], np.float64))
    return float(np.abs(fake_probability(engine(images).logits) - expected).max())
