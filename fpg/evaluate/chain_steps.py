"""What happens to a video on its way through messengers, platforms and screens, step by step; `docs/robustness.md` holds the definitions.

A step changes single frames or encodes the whole video. What a video keeps (where it is cropped, how the camera stands before the screen,
the screen's grid) is drawn once for it; noise is drawn for every frame. Draws are keyed by seed, chain, video and frame, never by level.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from fpg.common.rng import stream

SCREEN_PERIODS = (3.0, 8.0)
"""Pixels between two maxima of the moire."""


@dataclass(frozen=True)
class VideoDraws:
    """What is drawn once for a video."""

    crop: tuple[float, float]
    """Where the crop lies, from top and left, in [0, 1) of what is cut off."""
    corners: tuple[tuple[float, float], ...]
    """How the four corners (top left, top right, bottom right, bottom left) move in x and y, in [-1, 1] of the largest move."""
    angle: float
    """Of the moire, radians in [0, pi)."""
    period: float
    """Of the moire, pixels."""
    phase: float
    """Of the moire, radians in [0, 2 pi)."""


def draw_video(seed: int, chain: str, video: str) -> VideoDraws:
    """The draws of one video in one chain."""
    u = stream(seed, "chain", chain, video).random(13)
    corners = tuple((2 * float(x) - 1, 2 * float(y) - 1) for x, y in u[2:10].reshape(4, 2))
    low, high = SCREEN_PERIODS
    angle, period, phase = (float(value) for value in u[10:])
    return VideoDraws((float(u[0]), float(u[1])), corners, math.pi * angle, low + (high - low) * period, 2 * math.pi * phase)


def draw_noise(seed: int, chain: str, video: str, index: int) -> np.random.Generator:
    """Draws the noise of one frame."""
    return stream(seed, "chain noise", chain, video, index)


FrameFunction = Callable[[np.ndarray, float, VideoDraws, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Step:
    """One step of a chain."""

    name: str
    meaning: str
    """What the numbers of the levels are."""
    levels: tuple[float, ...]
    """At levels 1 (weakest) to 5."""
    apply: FrameFunction | None = None
    """uint8 [H, W, 3] RGB, parameter, draws of the video, generator of the frame -> uint8 [H', W', 3]; None encodes."""
    codec: str = ""
    """FFmpeg's name of the encoder; the parameter is its CRF."""


def fit(image: np.ndarray, longest: float, _: VideoDraws, __: np.random.Generator) -> np.ndarray:
    """Smaller, so that the longer side has `longest` pixels (sides rounded half up), by area; what is small enough stays."""
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def crop(image: np.ndarray, fraction: float, draws: VideoDraws, _: np.random.Generator) -> np.ndarray:
    """`fraction` of height and width cut off (rounded down), divided between the two sides as drawn (rounded down)."""
    height, width = image.shape[:2]
    cut = (int(height * fraction), int(width * fraction))
    y, x = (int(u * number) for u, number in zip(draws.crop, cut, strict=True))
    return np.ascontiguousarray(image[y : y + height - cut[0], x : x + width - cut[1]])


def screen_scale(image: np.ndarray, factor: float, _: VideoDraws, __: np.random.Generator) -> np.ndarray:
    """Shown on a screen at sides times `factor` (rounded half up), and enlarged again: bilinear at pixel centres, no filter, both ways."""
    height, width = image.shape[:2]
    size = (max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def jpeg_step(image: np.ndarray, quality: float, _: VideoDraws, __: np.random.Generator) -> np.ndarray:
    """Through baseline JPEG of this quality, 4:2:0."""
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    decoded = cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1], options)[1], cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded a line above
    return np.ascontiguousarray(decoded[..., ::-1])


def warp(image: np.ndarray, fraction: float, draws: VideoDraws, _: np.random.Generator) -> np.ndarray:
    """A camera that is not straight in front of the screen: the corners of the frame (centres of its corner pixels) move by up to
    `fraction` of width and height as drawn, and the picture between them follows in perspective; bilinear, the border mirrored without its
    edge pixel."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    moved = corners + np.array(draws.corners, np.float32) * np.float32(fraction) * np.array([width, height], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return np.asarray(
        cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def moire(image: np.ndarray, amplitude: float, draws: VideoDraws, _: np.random.Generator) -> np.ndarray:
    """The beat of two pixel grids: channel c times 1 + `amplitude` cos(2 pi (x cos a + y sin a) / p + phase + 2 pi c / 3); rounded and
    clipped."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = 2 * np.pi * (x * np.cos(draws.angle) + y * np.sin(draws.angle)) / draws.period + draws.phase
    gain = 1 + amplitude * np.cos(waves[..., None] + 2 * np.pi / 3 * np.arange(3))
    return np.clip(np.rint(image * gain), 0, 255).astype(np.uint8)


def sensor_noise(image: np.ndarray, sigma: float, _: VideoDraws, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of this standard deviation in levels, apart for every pixel and channel; rounded, clipped."""
    noisy = image + np.float32(sigma) * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _encode(*crf: float) -> Step:
    return Step("H.264", "CRF", crf, codec="libx264")


MESSENGER = (
    Step("fit", "longest side", (1280, 960, 848, 640, 480), fit),
    _encode(26, 28, 30, 32, 34),
    Step("crop", "fraction cut off", (0.02, 0.04, 0.06, 0.08, 0.1), crop),
    _encode(26, 28, 30, 32, 34),
    _encode(26, 28, 30, 32, 34),
)
"""Made smaller and encoded by one platform, cropped and encoded by the next, encoded once more where it is shared."""
SCREENSHOT = (
    Step("screen", "factor", (0.9, 0.8, 0.7, 0.6, 0.5), screen_scale),
    Step("crop", "fraction cut off", (0.01, 0.02, 0.03, 0.04, 0.05), crop),
    Step("JPEG", "quality", (95, 90, 80, 70, 60), jpeg_step),
)
SCREEN_RECORDING = (
    Step("warp", "fraction of the sides", (0.005, 0.01, 0.015, 0.02, 0.03), warp),
    Step("moire", "amplitude", (0.02, 0.04, 0.06, 0.08, 0.12), moire),
    Step("noise", "standard deviation", (1, 2, 3, 4, 6), sensor_noise),
    _encode(23, 26, 28, 30, 33),
)
"""A screen filmed by hand."""


def apply_steps(steps: tuple[Step, ...], level: int, image: np.ndarray, seed: int, chain: str, video: str, index: int) -> np.ndarray:
    """Steps of single frames, one after the other.

    Args:
        steps: none of them a codec.
        level: 1 to 5.
        image: uint8 [H, W, 3] RGB; not changed.
        seed: of the run.
        chain: its name.
        video: the video's key.
        index: of the frame.
    """
    draws, rng = draw_video(seed, chain, video), draw_noise(seed, chain, video, index)
    for step in steps:
        if step.apply is None:
            raise ValueError(f"{step.name} needs a whole video: see fpg.evaluate.codecs")
        image = step.apply(image, step.levels[level - 1], draws, rng)
    return image


def describe_steps(steps: tuple[Step, ...]) -> str:
    """The chain in a line: `fit (longest side 1280 960 848 640 480), H.264 (CRF 26 ...), ...`."""
    return ", ".join(f"{step.name} ({step.meaning} {' '.join(f'{value:g}' for value in step.levels)})" for step in steps)
