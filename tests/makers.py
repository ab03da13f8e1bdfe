"""Small real files for tests, good and bad: videos written with PyAV, images that lie, and a face analyzer without a network."""

from __future__ import annotations

import os
import signal
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from fpg.data.encode import X264_REPRODUCIBLE

SKIN = (230, 40, 40)
"""Colour of the rectangles that `ColourAnalyzer` takes for faces."""


def picture(width: int = 96, height: int = 80, face: tuple[int, int, int, int] | None = (28, 28, 64, 64), seed: int = 0) -> np.ndarray:
    """uint8 [H, W, 3]: smooth blue-green ground with some texture, and a red rectangle (x0, y0, x1, y1) as the face."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed)
    image = np.stack([np.full((height, width), 30), 60 + 80 * x / width, 60 + 80 * y / height], -1) + rng.uniform(-4, 4, (height, width, 3))
    if face is not None:
        x0, y0, x1, y1 = face
        image[y0:y1, x0:x1] = SKIN
    return np.clip(image, 0, 255).astype(np.uint8)


def pictures(count: int, seed: int = 0, **options: Any) -> list[np.ndarray]:
    """`count` pictures whose face moves right by a pixel every other frame."""
    options.setdefault("face", (28, 28, 64, 64))
    x0, y0, x1, y1 = options.pop("face")
    return [picture(face=(x0 + i // 2 % 20, y0, x1 + i // 2 % 20, y1), seed=seed + i, **options) for i in range(count)]


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray] | int = 40,
    *,
    codec: str = "libx264",
    fps: int = 25,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    rotation: int = 0,
    colorspace: str | None = None,
    times: Sequence[float] | None = None,
    sound: bool = False,
    seed: int = 0,
) -> Path:
    """Write a video; `frames` is uint8 [H, W, 3] RGB images, or a number of `pictures`. The container follows the suffix.

    Args:
        rotation: degrees counter-clockwise that a player turns the frames by.
        colorspace: "itu709" or "itu601": converts to and tags with it.
        times: of each frame in seconds, for a variable frame rate.
        sound: adds a short silent track.
    """
    images = pictures(frames, seed) if isinstance(frames, int) else list(frames)
    with av.open(str(path), "w", options=container or {}) as out:
        stream: Any = out.add_stream(codec, rate=fps)
        stream.height, stream.width = images[0].shape[:2] if images else (80, 96)
        stream.pix_fmt = pixels
        stream.options = ({"x264-params": X264_REPRODUCIBLE} if codec == "libx264" else {}) | (options or {})
        if rotation:
            stream.set_display_rotation(rotation)
        if colorspace:
            stream.codec_context.colorspace = {"itu709": 1, "itu601": 6}[colorspace]
        if times is not None:
            stream.time_base = stream.codec_context.time_base = _millisecond()
        if sound:
            _add_sound(out)
        if not images:
            out.start_encoding()
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if colorspace:
                frame = frame.reformat(format=pixels, dst_colorspace=colorspace)
            if times is not None:
                frame.pts, frame.time_base = round(times[index] * 1000), _millisecond()
            out.mux(stream.encode(frame))
        out.mux(stream.encode() if images else [])
    return Path(path)


def _millisecond() -> Any:
    from fractions import Fraction

    return Fraction(1, 1000)


def _add_sound(out: Any) -> None:
    stream = out.add_stream("aac", rate=16000)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
    frame.sample_rate = 16000
    out.mux([*stream.encode(frame), *stream.encode()])


def write_sound(path: str | os.PathLike[str]) -> Path:
    """A media file with sound and no picture."""
    with av.open(str(path), "w") as out:
        _add_sound(out)
    return Path(path)


def truncate(path: str | os.PathLike[str], fraction: float = 0.6) -> Path:
    """Cut a file to a fraction of its length, in place."""
    path = Path(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    return path


def damage(path: str | os.PathLike[str], at: float = 0.5, count: int = 400, seed: int = 0) -> Path:
    """Overwrite `count` bytes from a fraction of the file's length on with noise, in place."""
    path = Path(path)
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + count] = np.random.default_rng(seed).bytes(min(count, len(data) - start))
    path.write_bytes(data)
    return path


def write_png_that_lies(
    path: str | os.PathLike[str], claimed: tuple[int, int], rows: int = 4, data: bytes | None = None, interlaced: bool = False
) -> Path:
    """A well-formed PNG whose header claims (width, height) but which holds a few rows of RGB, or `data` as 8-bit grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width, height = claimed
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if data is None else 0, 0, 0, int(interlaced))
    pixels = zlib.compress((b"\0" + b"\x40" * (3 * min(width, 4096))) * rows if data is None else data)
    path = Path(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def write_bomb(path: str | os.PathLike[str], side: int = 20000) -> Path:
    """A valid PNG of `side` x `side` one-bit pixels: some kilobytes on disk, over a gigabyte as RGB."""
    from PIL import Image

    Image.new("1", (side, side)).save(path, format="PNG")
    return Path(path)


@dataclass(frozen=True)
class FakeFace:
    """What `fpg.faces.Face` has, without importing it."""

    box: np.ndarray
    score: float
    landmarks: np.ndarray | None
    mesh: np.ndarray | None = None
    pose: tuple[float, float, float] | None = (0.0, 0.0, 0.0)


class ColourAnalyzer:
    """Takes connected red regions for faces, largest first; landmarks lie on the ellipse in the box.

    A magenta pixel block in the top left corner makes it misbehave, so that tests can reach every failure: `nan` gives NaN
    landmarks, `raise` raises, `kill` ends the process; the path of a file that is not there ends it once and makes the file.
    """

    TRIGGER = (250, 0, 250)

    def __init__(self, on_trigger: str = "nan") -> None:
        self.on_trigger = on_trigger

    def __call__(self, image: np.ndarray) -> list[FakeFace]:
        import cv2

        red = ((image[..., 0].astype(int) - image[..., 1] > 100) & (image[..., 2] < 150)).astype(np.uint8)
        boxes = cv2.connectedComponentsWithStats(red)[2][1:]
        boxes = boxes[np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")]
        triggered = np.abs(image[:8, :8].astype(int) - self.TRIGGER).max() < 60
        if triggered and self.on_trigger == "raise":
            raise RuntimeError("the analyzer fell over")
        if triggered and os.sep in self.on_trigger and not os.path.exists(self.on_trigger):
            Path(self.on_trigger).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if triggered and self.on_trigger == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        faces = [self._face(*box[:4]) for box in boxes if box[4] > 20]
        if triggered and faces:
            faces[0] = FakeFace(faces[0].box, faces[0].score, np.full((81, 2), np.nan, np.float32))
        return faces

    @staticmethod
    def _face(x: int, y: int, w: int, h: int) -> FakeFace:
        angle = np.linspace(0, 2 * np.pi, 81, endpoint=False)
        points = np.stack([x + w / 2 + w / 2 * np.cos(angle), y + h / 2 + h / 2 * np.sin(angle)], -1)
        return FakeFace(np.array([x, y, x + w, y + h], np.float32), 0.9, points.astype(np.float32), pose=(1.0, 2.0, 3.0))


def triggered(image: np.ndarray) -> np.ndarray:
    """A copy that carries `ColourAnalyzer`'s trigger."""
    image = image.copy()
    image[:16, :16] = ColourAnalyzer.TRIGGER
    return image
