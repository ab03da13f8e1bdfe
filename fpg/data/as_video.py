"""A photograph as a moving, compressed video: what a detector judges are frames of videos, and a portrait looks like none.

A portrait is sharp, still and large. Each clip scales it to a size that faces have in videos, moves it a little under a virtual
camera, adds sensor noise and encodes it at a rate that platforms use. Frames of the decoded clip then take the place of the photograph,
before faces are found and pairs are made. What this changes is measured in `docs/results.md`.

Everything random is drawn before the photograph is looked at, from a generator keyed by the picture and the clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from fpg.common.codec import H264, H265, available, through_encoder
from fpg.common.errors import UsageError

_FILTERS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


@dataclass(frozen=True)
class VideoConfig:
    """How clips are made of a picture. Ranges include both ends and are drawn from uniformly unless said otherwise."""

    clips: int = 4
    """Clips of each picture."""
    keep: int = 2
    """Frames of each clip that are kept; none of them is the first, which is coded differently from all others."""
    length: int = 8
    """Frames of each clip that are encoded."""
    face_width: tuple[float, float] = (60.0, 220.0)
    """Width of the face in pixels, drawn log-uniformly; pictures are only ever made smaller."""
    crf: tuple[int, int] = (18, 36)
    """Constant rate factor of H.264; H.265 gets the same number, at which it looks about as good."""
    hevc_probability: float = 0.2
    """Chance of H.265 instead of H.264."""
    blur_probability: float = 0.3
    """Chance of a Gaussian blur before encoding, as of a cheap or unfocused lens."""
    blur_sigma: tuple[float, float] = (0.3, 1.0)
    """Its standard deviation, in pixels."""
    noise_probability: float = 0.5
    """Chance of sensor noise, drawn afresh for each frame."""
    noise_sigma: tuple[float, float] = (0.5, 5.0)
    """Its standard deviation, of 255."""
    pan: float = 2.0
    """Largest speed of the camera along each axis, in pixels per frame."""
    zoom: float = 0.004
    """Largest change of scale from frame to frame."""
    roll: float = 0.3
    """Largest rotation from frame to frame, in degrees."""

    def __post_init__(self) -> None:
        """Refuse values that no clip can be made with.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        if self.clips < 1:
            raise UsageError(f"as-video: expected at least 1 clip of each picture, got {self.clips}")
        if not 1 <= self.keep < self.length:
            raise UsageError(f"as-video: expected to keep between 1 and {self.length - 1} frames of {self.length}, got {self.keep}")


@dataclass(frozen=True)
class ClipParams:
    """Everything random about one clip."""

    face_width: float
    filter: str
    blur_sigma: float
    noise_sigma: float
    noise_key: int
    pan: tuple[float, float]
    """Pixels per frame along x and y."""
    zoom: float
    roll: float
    codec: str
    crf: int
    kept: tuple[int, ...]
    """Indices of the frames that are kept, increasing."""


def draw_clip(rng: np.random.Generator, config: VideoConfig) -> ClipParams:
    """Draw one clip; every draw is consumed whatever the outcome of the others."""
    low, high = config.face_width
    width = float(math.exp(rng.uniform(math.log(low), math.log(high))))
    name = list(_FILTERS)[int(rng.integers(len(_FILTERS)))]
    blur_coin, noise_coin, codec_coin = rng.random(3).tolist()
    blur, noise = float(rng.uniform(*config.blur_sigma)), float(rng.uniform(*config.noise_sigma))
    key = int(rng.integers(1 << 63))
    pan_x, pan_y, zoom, roll = (float(u) for u in rng.uniform(-1, 1, 4))
    crf = int(rng.integers(config.crf[0], config.crf[1] + 1))
    kept = np.sort(rng.choice(np.arange(1, config.length), config.keep, replace=False))
    return ClipParams(
        face_width=width,
        filter=name,
        blur_sigma=blur if blur_coin < config.blur_probability else 0.0,
        noise_sigma=noise if noise_coin < config.noise_probability else 0.0,
        noise_key=key,
        pan=(config.pan * pan_x, config.pan * pan_y),
        zoom=config.zoom * zoom,
        roll=config.roll * roll,
        codec=H265 if codec_coin < config.hevc_probability and available(H265) else H264,
        crf=crf,
        kept=tuple(int(i) for i in kept),
    )


def film(image: np.ndarray, face_width: float, params: ClipParams, length: int) -> list[np.ndarray]:
    """The kept frames of one clip, as a player shows them.

    Args:
        image: uint8 [H, W, 3] RGB.
        face_width: of its largest face, in pixels.
        params: from `draw_clip`.
        length: frames to encode.

    Returns:
        `params.kept` many uint8 [h, w, 3] RGB, h and w even.
    """
    return through_encoder(params.codec, params.crf, moving(shrunk(image, face_width, params), params, length), params.kept)


def shrunk(image: np.ndarray, face_width: float, params: ClipParams) -> np.ndarray:
    """The picture at the size of the clip, with even sides, and blurred where the draw says so; arguments as of `film`."""
    scale = min(1.0, params.face_width / face_width)
    height, width = (max(16, round(side * scale) // 2 * 2) for side in image.shape[:2])
    small = image[:height, :width] if scale == 1.0 else cv2.resize(image, (width, height), interpolation=_FILTERS[params.filter])
    return cv2.GaussianBlur(small, (0, 0), params.blur_sigma) if params.blur_sigma else small


def moving(image: np.ndarray, params: ClipParams, length: int) -> Iterator[np.ndarray]:
    """The picture under a camera that moves evenly through it, centred in the middle of the clip."""
    height, width = image.shape[:2]
    noise = np.random.Generator(np.random.Philox(params.noise_key))
    for index in range(length):
        t = index - (length - 1) / 2
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), params.roll * t, 1 + params.zoom * t)
        matrix = matrix + np.array([[0, 0, params.pan[0] * t], [0, 0, params.pan[1] * t]])
        frame = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        if params.noise_sigma:
            grain = noise.standard_normal(frame.shape, np.float32) * np.float32(params.noise_sigma)
            frame = np.clip(np.rint(frame + grain), 0, 255).astype(np.uint8)
        yield frame
