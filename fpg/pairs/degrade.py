"""What happens to a video after it was made, done alike to a real face and to its forgery, so that it tells nothing apart.

A forgery reaches a detector scaled, filtered and encoded once more by whatever it was published on. A pair as SBI makes it is sharp next to
that (its only compression is one JPEG), and a detector learns traces that no encoder leaves intact. Here the pair is made smaller, blurred,
given noise, encoded as H.264 or H.265 frames of a short pan or as JPEG, and enlarged again, after the blend, with one draw for all of its
images. Off by default: the method has nothing of it. What it changes is measured in `docs/results.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fpg.common.codec import H264, H265, available, compress_jpeg, through_encoder
from fpg.pairs.checks import check_section

_FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_BLOCK = 16
"""Side of a macroblock: images that are encoded next to each other start at whole ones."""
PAN_FRAMES = 3
"""Frames that are encoded: the last one, which is kept, is predicted from those before it."""


@dataclass(frozen=True)
class DegradeConfig:
    """What may happen to a pair after the blend. Ranges include both ends; probabilities are of pairs that are degraded at all."""

    probability: float = 0.0
    """Chance that a pair is degraded; 0 leaves out this step."""
    scale: tuple[float, float] = (1.0, 2.5)
    """By how much the pair is made smaller before the rest and enlarged again after it, drawn log-uniformly."""
    blur_probability: float = 0.3
    """Chance of a Gaussian blur."""
    blur_sigma: tuple[float, float] = (0.3, 1.5)
    """Its standard deviation, in pixels of the smaller image."""
    motion_probability: float = 0.15
    """Chance of motion blur, along a line in any direction."""
    motion_length: tuple[int, int] = (3, 7)
    """Length of that line, in pixels of the smaller image."""
    noise_probability: float = 0.3
    """Chance of Gaussian noise, the same field for all images of the pair."""
    noise_sigma: tuple[float, float] = (1.0, 8.0)
    """Its standard deviation, of 255."""
    video_probability: float = 0.6
    """Chance of encoding as video."""
    video_crf: tuple[int, int] = (20, 38)
    """Constant rate factor."""
    hevc_probability: float = 0.2
    """Chance of H.265 instead of H.264, where it is encoded as video."""
    pan: float = 2.0
    """Largest speed of the pan along each axis, in pixels per frame."""
    jpeg_probability: float = 0.3
    """Chance of JPEG compression, after the video encoding, if any."""
    jpeg_quality: tuple[int, int] = (30, 95)
    """Its quality."""

    def __post_init__(self) -> None:
        """Refuse values that no pair can be degraded with.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        require = check_section("augment.degrade", self)
        require(self.scale[0] >= 1, "scale", "factors of at least 1")
        for name in ("blur_sigma", "noise_sigma"):
            require(getattr(self, name)[0] > 0, name, "more than 0")
        require(self.motion_length[0] >= 2, "motion_length", "at least 2 pixels")
        require(self.video_crf[0] >= 0 and self.video_crf[1] <= 51, "video_crf", "within 0..51")
        require(self.jpeg_quality[0] >= 1 and self.jpeg_quality[1] <= 100, "jpeg_quality", "within 1..100")
        require(self.pan >= 0, "pan", "at least 0")


@dataclass(frozen=True)
class DegradeParams:
    """All draws of one pair's degradation; zeros and None where a step is not done."""

    scale: float
    down: int
    """OpenCV's interpolation on the way down; `up` on the way back."""
    up: int
    blur_sigma: float
    motion: tuple[int, float] | None
    """Length in pixels and direction in degrees."""
    noise_sigma: float
    noise_key: int
    video: tuple[str, int] | None
    """Codec and constant rate factor."""
    pan: tuple[float, float]
    """Pixels per frame along x and y."""
    jpeg_quality: int | None


def draw_degradation(rng: np.random.Generator, config: DegradeConfig) -> DegradeParams | None:
    """Draw one pair's degradation, None for no degradation; every draw is consumed whatever the outcome of the others."""
    c = config
    happens, blurs, moves, grain, films, hevc, jpeg = rng.random(7).tolist()
    scale = math.exp(float(rng.uniform(math.log(c.scale[0]), math.log(c.scale[1]))))
    down, up = (int(i) for i in rng.integers(len(_FILTERS), size=2))
    blur, noise = float(rng.uniform(*c.blur_sigma)), float(rng.uniform(*c.noise_sigma))
    length, angle = int(rng.integers(c.motion_length[0], c.motion_length[1] + 1)), float(rng.uniform(0, 180))
    key = int(rng.integers(1 << 63))
    crf = int(rng.integers(c.video_crf[0], c.video_crf[1] + 1))
    pan_x, pan_y = (float(u) for u in rng.uniform(-c.pan, c.pan, 2))
    quality = int(rng.integers(c.jpeg_quality[0], c.jpeg_quality[1] + 1))
    if happens >= c.probability:
        return None
    codec = H265 if hevc < c.hevc_probability and available(H265) else H264
    return DegradeParams(
        scale=scale,
        down=_FILTERS[down],
        up=_FILTERS[up],
        blur_sigma=blur if blurs < c.blur_probability else 0.0,
        motion=(length, angle) if moves < c.motion_probability else None,
        noise_sigma=noise if grain < c.noise_probability else 0.0,
        noise_key=key,
        video=(codec, crf) if films < c.video_probability and available(codec) else None,
        pan=(pan_x, pan_y),
        jpeg_quality=quality if jpeg < c.jpeg_probability else None,
    )


def degrade(images: Sequence[np.ndarray], params: DegradeParams) -> list[np.ndarray]:
    """Degrade the images of one pair alike.

    Args:
        images: uint8 [S, S, 3] RGB each, all of one size.
        params: from `draw_degradation`.

    Returns:
        As many uint8 [S, S, 3].
    """
    height, width = images[0].shape[:2]
    small_size = tuple(max(8, round(side / params.scale)) for side in (width, height))
    parts = [image if small_size == (width, height) else cv2.resize(image, small_size, interpolation=params.down) for image in images]
    if params.blur_sigma:
        parts = [cv2.GaussianBlur(part, (0, 0), params.blur_sigma) for part in parts]
    if params.motion is not None:
        kernel = _line(*params.motion)
        parts = [cv2.filter2D(part, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for part in parts]
    if params.noise_sigma:
        generator = np.random.Generator(np.random.Philox(params.noise_key))
        field = generator.standard_normal(parts[0].shape, np.float32) * np.float32(params.noise_sigma)
        parts = [np.clip(np.rint(part + field), 0, 255).astype(np.uint8) for part in parts]
    if params.video is not None:
        parts = _encoded(parts, *params.video, params.pan)
    if params.jpeg_quality is not None:
        parts = [compress_jpeg(part, params.jpeg_quality) for part in parts]
    return [part if small_size == (width, height) else cv2.resize(part, (width, height), interpolation=params.up) for part in parts]


def _line(length: int, angle: float) -> np.ndarray:
    """Kernel of motion blur: a line through the centre, float32 [k, k], sums to 1."""
    half = length // 2
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    x, y = half * math.cos(math.radians(angle)), half * math.sin(math.radians(angle))
    cv2.line(kernel, (round(half - x), round(half - y)), (round(half + x), round(half + y)), 1.0)
    return kernel / kernel.sum()


def _encoded(parts: list[np.ndarray], codec: str, crf: int, pan: tuple[float, float]) -> list[np.ndarray]:
    """The images as the last frames of a pan, encoded next to each other as one video, each starting at whole macroblocks."""
    height, width = parts[0].shape[:2]
    below, right = -height % _BLOCK, -width % _BLOCK
    padded = [cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REPLICATE) for part in parts]
    last = through_encoder(codec, crf, _pan(padded, pan), keep=(PAN_FRAMES - 1,))[0]
    step = width + right
    return [np.ascontiguousarray(last[:height, index * step : index * step + width]) for index in range(len(parts))]


def _pan(parts: list[np.ndarray], pan: tuple[float, float]) -> Iterator[np.ndarray]:
    height, width = parts[0].shape[:2]
    for before in reversed(range(PAN_FRAMES)):
        if before and pan != (0.0, 0.0):
            matrix = np.array([[1, 0, before * pan[0]], [0, 1, before * pan[1]]], np.float32)
            shifted = [cv2.warpAffine(part, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE) for part in parts]
        else:
            shifted = parts
        yield np.hstack(shifted)
