"""Stand-ins for tests: an engine that scores by brightness, an analyzer that finds green squares, files, a reader of pages."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from fpg.common.spec import EngineSpec
from fpg.engines.base import EngineOutput


def spec(**changes: Any) -> EngineSpec:
    values: dict[str, Any] = {
        "backend": "onnx",
        "model_file": "fake.onnx",
        "files": {"fake.onnx": "0" * 64},
        "detector": {"backbone": "brightness"},
        "image_size": 16,
        "map_size": (4, 4),
        "provenance": {"run": "none", "seed": 3},
    }
    return EngineSpec(**(values | changes))


class BrightnessEngine:
    """P(fake) = mean of the red channel; the map is the red channel in 4 x 4 blocks, minus a half."""

    def __init__(self, **changes: Any) -> None:
        self.spec = spec(**changes)
        self.device = "cpu"
        self.batches: list[int] = []

    def __call__(self, images: np.ndarray) -> EngineOutput:
        assert images.dtype == np.float32
        assert images.shape[1:] == (3, self.spec.image_size, self.spec.image_size)
        self.batches.append(len(images))
        p = np.clip(images[:, 0].astype(np.float64).mean((1, 2)), 1e-6, 1 - 1e-6)
        blocks = images[:, 0].reshape(len(images), 4, 4, 4, 4).mean((2, 4)) - 0.5
        logits = np.stack([np.zeros_like(p), np.log(p / (1 - p))], 1)
        return EngineOutput(logits.astype(np.float32), blocks.astype(np.float32))


@dataclass(frozen=True)
class Box:
    box: np.ndarray


class GreenAnalyzer:
    """One face per call: the bounding box of the pixels whose green is 255; none without such pixels. `extra` boxes are appended."""

    def __init__(self, *extra: tuple[float, float, float, float]) -> None:
        self.extra = [np.array(b, np.float32) for b in extra]

    def __call__(self, image: np.ndarray) -> list[Box]:
        ys, xs = np.nonzero(image[..., 1] == 255)
        if not len(ys):
            return []
        own = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)
        return [Box(b) for b in [own, *self.extra]]


def face_image(red: int, side: int = 32, height: int = 48, width: int = 64) -> np.ndarray:
    """uint8 [height, width, 3]: a grey frame with a square `face` of green 255 and the given red."""
    image = np.full((height, width, 3), 90, np.uint8)
    image[8 : 8 + side, 16 : 16 + side] = (red, 255, 0)
    image[:, :, 0] = red
    return image


def empty_image(height: int = 48, width: int = 64) -> np.ndarray:
    """uint8 [height, width, 3] without a face."""
    return np.full((height, width, 3), 90, np.uint8)


def save(path: Path, image: np.ndarray) -> Path:
    """Write uint8 [H, W, 3] RGB as PNG, creating folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    return path


def lossless_video(path: Path, images: list[np.ndarray]) -> Path:
    """Write uint8 [H, W, 3] RGB frames, 10 per second, without loss (FFV1)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "bgr0"
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            for packet in stream.encode(frame.reformat(format="bgr0")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


class Page(HTMLParser):
    """What a page refers to, its text, its ids and whether its elements close in order."""

    VOID = frozenset({"meta", "img", "br", "hr", "input", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            assert not name.startswith("on"), f"script in attribute {name}"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> without a beginning"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def check_page(path: Path) -> Page:
    """Assert that a page is well-formed, stands alone and runs nothing; returns it for more."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert all(reference.startswith(("data:image/", "#")) for reference in page.references)
    assert {r[1:] for r in page.references if r.startswith("#")} <= set(page.ids)
    assert "url(http" not in text
    assert "@import" not in text
    assert len(page.ids) == len(set(page.ids))
    return page
