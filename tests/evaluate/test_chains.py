"""Chains and the attack: every step against another computation, whole chains against another implementation, the suite from end to end."""

from __future__ import annotations

import io
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from judging import BrightnessEngine, GreenAnalyzer, face_image, save
from PIL import Image

import fpg.cli.evaluate as evaluate
from fpg.common.codec import X264_REPRODUCIBLE
from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.engines.torch import TorchEngine
from fpg.evaluate.attack import attacked, require_gradients
from fpg.evaluate.chain_steps import SCREENSHOT, apply_steps, draw_video
from fpg.evaluate.codecs import through_chain
from fpg.evaluate.perturbations import BY_NAME, CHAINS, Cell, perturb
from fpg.models.config import DetectorConfig
from fpg.models.detector import build_detector, save_detector
from fpg.runtime.inputs import open_frames

SEED, VIDEO = 3, "set/swap/v1"


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth colours with a little grain."""
    small = rng.uniform(30, 225, (6, 8, 3))
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 3, (height, width, 3)), 0, 255).astype(np.uint8)


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """float64 samples at pixel coordinates, border mirrored without its edge pixel."""
    height, width = image.shape[:2]

    def mirrored(i: np.ndarray, n: int) -> np.ndarray:
        i = np.abs(i) % (2 * n - 2)
        return np.where(i < n, i, 2 * n - 2 - i)

    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    values = [[image[mirrored(y0 + j, height), mirrored(x0 + i, width)].astype(float) for i in range(2)] for j in range(2)]
    return (1 - fy) * ((1 - fx) * values[0][0] + fx * values[0][1]) + fy * ((1 - fx) * values[1][0] + fx * values[1][1])


class Reference:
    """The steps as docs/robustness.md defines them, in NumPy and float64."""

    def __init__(self, chain: str, level: int) -> None:
        self.chain, self.level = chain, level - 1
        u = stream(SEED, "chain", chain, VIDEO).random(13)
        self.crop_at, self.corners = u[:2], 2 * u[2:10].reshape(4, 2) - 1
        self.angle, self.period, self.phase = math.pi * u[10], 3 + 5 * u[11], 2 * math.pi * u[12]

    def at(self, *levels: float) -> float:
        return levels[self.level]

    def crop(self, image: np.ndarray, fraction: float) -> np.ndarray:
        height, width = image.shape[:2]
        down, right = math.floor(height * fraction), math.floor(width * fraction)
        y, x = math.floor(self.crop_at[0] * down), math.floor(self.crop_at[1] * right)
        return image[y : y + height - down, x : x + width - right]

    def warp(self, image: np.ndarray, fraction: float) -> np.ndarray:
        height, width = image.shape[:2]
        start = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], float)
        end = start + self.corners * fraction * np.array([width, height])
        rows, values = [], []
        for (x, y), (u, v) in zip(end, start, strict=True):  # the inverse map: where a pixel of the result comes from
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
            values += [u, v]
        h = np.append(np.linalg.solve(np.array(rows), np.array(values)), 1).reshape(3, 3)
        y, x = np.mgrid[:height, :width].astype(float)
        w = h[2, 0] * x + h[2, 1] * y + 1
        return bilinear(image, (h[0, 0] * x + h[0, 1] * y + h[0, 2]) / w, (h[1, 0] * x + h[1, 1] * y + h[1, 2]) / w)

    def moire(self, image: np.ndarray, amplitude: float) -> np.ndarray:
        result = np.empty(image.shape)
        for c in range(3):
            for y in range(image.shape[0]):
                x = np.arange(image.shape[1])
                wave = 2 * math.pi * (x * math.cos(self.angle) + y * math.sin(self.angle)) / self.period + self.phase
                result[y, :, c] = image[y, :, c] * (1 + amplitude * np.cos(wave + 2 * math.pi * c / 3))
        return np.clip(np.round(result), 0, 255)

    def noise(self, image: np.ndarray, sigma: float, index: int) -> np.ndarray:
        normals = stream(SEED, "chain noise", self.chain, VIDEO, index).standard_normal(image.shape, np.float32)
        return np.clip(np.round(image + sigma * normals), 0, 255)


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear at pixel centres, float64."""
    y, x = np.mgrid[:height, :width].astype(float)
    old_height, old_width = image.shape[:2]
    x, y = ((z + 0.5) * old / new - 0.5 for z, old, new in ((x, old_width, width), (y, old_height, height)))
    return bilinear(image, np.clip(x, 0, old_width - 1), np.clip(y, 0, old_height - 1))


def close(got: np.ndarray, wanted: np.ndarray, most: float = 1.0, fraction: float = 0.01) -> None:
    assert got.dtype == np.uint8
    assert got.shape == wanted.shape
    off = np.abs(got.astype(float) - wanted)
    assert off.mean() < 0.5
    assert (off > most).mean() <= fraction


@pytest.mark.parametrize("level", range(1, 6))
def test_a_screenshot_is_what_its_definition_says(level: int, rng: np.random.Generator) -> None:
    image = picture(rng, 121, 160)
    r = Reference("screenshot", level)
    factor = r.at(0.9, 0.8, 0.7, 0.6, 0.5)
    small = np.round(resized(image, math.floor(121 * factor + 0.5), math.floor(160 * factor + 0.5)))
    shown = r.crop(np.round(resized(small, 121, 160)), r.at(0.01, 0.02, 0.03, 0.04, 0.05))
    before = apply_steps(SCREENSHOT[:2], level, image, SEED, "screenshot", VIDEO, 7)
    close(before, shown)
    buffer = io.BytesIO()
    Image.fromarray(before).save(buffer, "jpeg", quality=int(r.at(95, 90, 80, 70, 60)), subsampling=2)
    wanted = np.asarray(Image.open(buffer)).astype(float)
    assert np.abs(perturb(image, Cell(BY_NAME["screenshot"], level), SEED, VIDEO, 7) - wanted).mean() < 0.5


def encoded(path: Path, images: list[np.ndarray], crf: int) -> list[np.ndarray]:
    """Through x264 as docs/robustness.md says, written apart from fpg: odd sides padded, BT.601 limited range; what a decoder gives."""
    height, width = images[0].shape[:2]
    with av.open(str(path), "w", format="mp4") as container:
        out: Any = container.add_stream(
            "libx264",
            rate=25,
            options={"crf": str(crf), "preset": "medium", "x264-params": f"threads=4:log-level=error:{X264_REPRODUCIBLE}"},
        )
        out.width, out.height, out.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        for index, image in enumerate(images):
            padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(out.encode(frame))
        container.mux(out.encode(None))
    return [image[:height, :width] for _, _, image in open_frames(path, None)[1]]


@pytest.fixture
def clip(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, list[np.ndarray]]:
    """A lossless clip of 6 frames of 90 x 121 that moves."""
    wide = picture(rng, 90, 140)
    images = [np.ascontiguousarray(wide[:, 2 * i : 2 * i + 121]) for i in range(6)]
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        out: Any = container.add_stream("ffv1", rate=25)
        out.width, out.height, out.pix_fmt = 121, 90, "bgr0"
        for image in images:
            container.mux(out.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="bgr0")))
        container.mux(out.encode(None))
    return path, images


@pytest.mark.parametrize("level", [1, 5])
def test_a_filmed_screen_is_what_its_definition_says(level: int, clip: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    path, images = clip
    r = Reference("screen_recording", level)
    filmed = []
    for index, image in enumerate(images):
        warped = np.round(r.warp(image, r.at(0.005, 0.01, 0.015, 0.02, 0.03)))
        filmed.append(r.noise(r.moire(warped, r.at(0.02, 0.04, 0.06, 0.08, 0.12)), r.at(1, 2, 3, 4, 6), index).astype(np.uint8))
    wanted = np.stack(encoded(tmp_path / "a.mp4", filmed, int(r.at(23, 26, 28, 30, 33)))).astype(float)
    (tmp_path / "work").mkdir()
    count, frames = through_chain(path, tmp_path / "work", Cell(BY_NAME["screen_recording"], level), SEED, VIDEO, None)
    got = np.stack([image for _, _, image in frames]).astype(float)
    assert (count, got.shape) == (6, wanted.shape)
    changed = np.abs(np.stack(images) - wanted).mean()
    assert np.abs(got - wanted).mean() < 0.1 * changed + 0.3


@pytest.mark.parametrize("level", [1, 4])
def test_a_messenger_is_what_its_definition_says(level: int, clip: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    path, images = clip
    r = Reference("messenger", level)
    crf = int(r.at(26, 28, 30, 32, 34))
    first = encoded(tmp_path / "a.mp4", images, crf)  # smaller than the longest side already
    cropped = [np.ascontiguousarray(r.crop(image, r.at(0.02, 0.04, 0.06, 0.08, 0.1))) for image in first]
    wanted = np.stack(encoded(tmp_path / "c.mp4", encoded(tmp_path / "b.mp4", cropped, crf), crf)).astype(float)
    (tmp_path / "work").mkdir()
    _, frames = through_chain(path, tmp_path / "work", Cell(BY_NAME["messenger"], level), SEED, VIDEO, None)
    got = np.stack([image for _, _, image in frames]).astype(float)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).mean() < 1.0


def test_a_messenger_makes_large_frames_smaller(tmp_path: Path, rng: np.random.Generator) -> None:
    path = save(tmp_path / "large.png", picture(rng, 601, 1000))
    (tmp_path / "work").mkdir()
    cut = [int(side * 0.1) for side in (math.floor(601 * 0.48 + 0.5), 480)]
    _, frames = through_chain(path, tmp_path / "work", Cell(BY_NAME["messenger"], 5), SEED, VIDEO, None)
    assert next(frames)[2].shape == (math.floor(601 * 0.48 + 0.5) - cut[0], 480 - cut[1], 3)


def test_draws_belong_to_the_video_and_not_to_the_level(rng: np.random.Generator) -> None:
    assert draw_video(SEED, "screenshot", VIDEO) == draw_video(SEED, "screenshot", VIDEO)
    assert draw_video(SEED, "screenshot", VIDEO) != draw_video(SEED, "screenshot", "another")
    assert draw_video(SEED, "screenshot", VIDEO) != draw_video(SEED + 1, "screenshot", VIDEO)
    image = picture(rng, 100, 100)
    cell = Cell(BY_NAME["screenshot"], 3)
    assert np.array_equal(perturb(image, cell, SEED, VIDEO, 0), perturb(image, cell, SEED, VIDEO, 1))  # nothing in it is drawn by frame


def test_the_suite_has_chains_with_drops_and_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "load_engine", lambda path, **options: BrightnessEngine())
    monkeypatch.setattr(evaluate, "default_analyzer", GreenAnalyzer)
    for i, red in enumerate([20, 60]):
        save(tmp_path / "d" / "real" / f"r{i}.png", face_image(red))
        save(tmp_path / "d" / "fake" / f"f{i}.png", face_image(red + 100))
    out = tmp_path / "m.json"
    command = ["m.xml", "--data", str(tmp_path / "d"), "--json", str(out), "--robustness", "chains", "--resamples", "100"]
    assert evaluate.main(command) in (0, 1)
    found = json.loads(out.read_text())["robustness"]
    assert [row["name"] for row in found["rows"]] == [chain.name for chain in CHAINS]
    assert "H.264 (CRF 26 28 30 32 34)" in found["rows"][0]["steps"]
    assert all(len(row["auc"]) == 5 for row in found["rows"])
    assert {"auc", "interval", "drop", "drop_interval"} <= set(found["cells"][0])
    assert "Filmed screen" in capsys.readouterr().out
    assert evaluate.main([*command[:-3], "attack"]) == 2
    assert "model.safetensors" in capsys.readouterr().err


# -- attack


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    torch.manual_seed(5)
    config = DetectorConfig(backbone="test_efficientnet", image_size=64, quality_width=16, attention_width=8)
    path = tmp_path_factory.mktemp("attack") / "model.safetensors"
    save_detector(path, build_detector(config).eval(), provenance={})
    from fpg.engines import load_engine

    found = load_engine(path, device="cpu")
    assert isinstance(found, TorchEngine)
    return found


def margin(engine: TorchEngine, images: np.ndarray) -> np.ndarray:
    logits = engine(images).logits.astype(np.float64)
    return logits[:, 1] - logits[:, 0]


def test_the_gradient_is_that_of_finite_differences(engine: TorchEngine, rng: np.random.Generator) -> None:
    images = rng.uniform(0.3, 0.7, (2, 3, 64, 64)).astype(np.float32)
    gradient = engine.input_gradient(images)
    direction = gradient / np.linalg.norm(gradient.reshape(2, -1), axis=1)[:, None, None, None]
    step = 0.02
    numeric = (margin(engine, images + np.float32(step) * direction) - margin(engine, images - np.float32(step) * direction)) / (2 * step)
    assert numeric == pytest.approx((gradient * direction).sum(axis=(1, 2, 3)), rel=0.05)


@pytest.mark.parametrize("label", [REAL, FAKE])
@pytest.mark.parametrize("budget", [1, 4])
def test_an_attack_keeps_its_budget_and_moves_the_score(engine: TorchEngine, label: int, budget: int, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (3, 3, 64, 64)).astype(np.float32) / np.float32(255)
    moved = attacked(engine, images, label, budget / 255)
    assert np.abs(moved - images).max() <= budget / 255 + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert np.allclose(np.rint(moved * 255), moved * 255, atol=1e-3)  # still an 8-bit image
    change = margin(engine, moved) - margin(engine, images)
    assert (change < 0).all() if label == FAKE else (change > 0).all()
    random = images + np.float32(budget / 255) * rng.choice(np.array([-1, 1], np.float32), images.shape)
    assert np.abs(change).min() > np.abs(margin(engine, np.clip(random, 0, 1)) - margin(engine, images)).max()


def test_engines_without_gradients_are_refused() -> None:
    with pytest.raises(UsageError, match="onnx engines do not give"):
        require_gradients(BrightnessEngine())
