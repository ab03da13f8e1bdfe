"""The whole path through the programs on real faces: prepare, train, evaluate, export, detect, and the engines against torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from schemas import check_output

from fpg.cli import detect, evaluate, export, prepare, train
from fpg.common.crops import face_input
from fpg.data.encode import write_video
from fpg.data.images import read_image
from fpg.data.manifest import Manifest, read_manifest
from fpg.engines import fake_probability, load_engine

SIDE = 64


def portrait(name: str) -> np.ndarray:
    """uint8 [H, W, 3]: a public-domain portrait that a package carries."""
    if name == "collins":
        folder = Path(pytest.importorskip("skimage").__file__).parent / "data"
        return np.ascontiguousarray(read_image(folder / "astronaut.png")[0:320, 60:360])
    folder = Path(pytest.importorskip("matplotlib").__file__).parent / "mpl-data" / "sample_data"
    return read_image(folder / "grace_hopper.jpg")[0:400, 60:440]


def clip(path: Path, image: np.ndarray, frames: int = 4) -> None:
    """A short video that drifts over `image`."""
    height, width = (image.shape[0] - frames * 2) // 2 * 2, (image.shape[1] - frames * 2) // 2 * 2
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [image[2 * i : 2 * i + height, 2 * i : 2 * i + width] for i in range(frames)], fps=10)


def blurred_face(image: np.ndarray) -> np.ndarray:
    """A crude forgery: the middle of the face smoothed away."""
    forged = image.copy()
    height, width = image.shape[:2]
    part = forged[height // 6 : height // 2, width // 3 : 2 * width // 3]
    part[:] = cv2.GaussianBlur(part, (0, 0), 4)
    return forged


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    collins, hopper = portrait("collins"), portrait("hopper")
    clip(root / "train" / "real" / "collins.mp4", collins)
    clip(root / "val" / "real" / "collins mirrored.mp4", collins[:, ::-1])
    clip(root / "test" / "real" / "hopper.mp4", hopper)
    clip(root / "test" / "fake" / "hopper.mp4", blurred_face(hopper))
    return root


def run(main: Any, *arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def crops(manifest: Manifest) -> np.ndarray:
    return np.stack([face_input(read_image(manifest.root / row.path), row.box, SIDE) for row in manifest.faces])


@pytest.mark.slow
def test_from_videos_to_verdicts(videos: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    torch.set_num_threads(1)
    data, weights = tmp_path / "data", tmp_path / "run" / "model.safetensors"

    run(prepare.main, videos, data, "--frames", 4, "--workers", 0, "--quiet")
    manifest = read_manifest(data)
    assert sorted((v.split, v.label, v.status, v.frames_with_face) for v in manifest.videos) == [
        ("test", 0, "prepared", 4),
        ("test", 1, "prepared", 4),
        ("train", 0, "prepared", 4),
        ("val", 0, "prepared", 4),
    ]

    small = ["--model.backbone", "test_efficientnet", "--model.pretrained", "false", "--model.image_size", SIDE]
    small += ["--batch", 4, "--epochs", 1, "--workers", 0, "--threads", 1, "--device", "cpu", "--pictures", 2]
    run(train.main, "--data", data, "--out", weights.parent, *small)
    lines = [json.loads(line) for line in (weights.parent / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert len(steps) == 2
    assert all(np.isfinite(line["loss"]) and line["updated"] for line in steps)
    for name in ("config.yaml", "environment.json", "model.spec.json", "checkpoints/last.pt", "pictures/epoch_000.png"):
        assert (weights.parent / name).stat().st_size > 0

    metrics_file, page = tmp_path / "metrics.json", tmp_path / "eval.html"
    run(evaluate.main, weights, "--data", data, "--json", metrics_file, "--report", page)
    metrics = json.loads(metrics_file.read_text())
    assert {"auc", "ap", "eer", "videos", "failed", "protocol"} <= set(metrics)
    assert (metrics["videos"], metrics["failed"], metrics["scored"]) == (2, 0, 2)
    real, fake = (next(v["score"] for v in metrics["per_video"] if v["label"] == label) for label in (0, 1))
    assert metrics["auc"] == (1.0 if fake > real else 0.0 if fake < real else 0.5)
    assert "<html" in page.read_text(encoding="utf-8")

    for target in ("onnx", "openvino"):
        run(export.main, weights, "--to", target, "-o", tmp_path / "engines", "--check", data)
    engines = {"onnx": tmp_path / "engines/model-onnx-fp32.onnx", "openvino": tmp_path / "engines/model-openvino-fp32.xml"}

    images = crops(manifest)
    expected = load_engine(weights, device="cpu")(images)
    for path in engines.values():
        answer = load_engine(path, device="cpu")(images)
        np.testing.assert_allclose(fake_probability(answer.logits), fake_probability(expected.logits), atol=1e-3, rtol=0)
        np.testing.assert_allclose(answer.activation_map, expected.activation_map, atol=1e-2 * np.abs(expected.activation_map).max())

    scores = {}
    for name, model in {"torch": weights, **engines}.items():
        out = tmp_path / f"{name}.json"
        run(detect.main, model, videos / "test", "--frames", 4, "--json", out, "--report", out.with_suffix(".html"))
        written = json.loads(out.read_text())
        check_output(written)
        results = written["results"]
        assert [Path(r["input"]).parent.name for r in results] == ["fake", "real"]
        for result in results:
            assert result["error"] is None
            assert result["warnings"][0].startswith("demo weights are no detector: trained on 1 video or picture,")
            assert result["verdict"] == ("fake" if result["score"] >= result["threshold"] else "real")
            assert [set(frame) for frame in result["frames"]] == [{"index", "time_s", "faces"}] * 4
            assert {key for frame in result["frames"] for face in frame["faces"] for key in face} == {"box", "score", "track"}
        scores[name] = [result["score"] for result in results]
        assert "<html" in out.with_suffix(".html").read_text(encoding="utf-8")
    np.testing.assert_allclose([scores["onnx"], scores["openvino"]], [scores["torch"]] * 2, atol=1e-3)
    per_video = {video["label"]: video["score"] for video in metrics["per_video"]}
    np.testing.assert_allclose([per_video[1], per_video[0]], scores["torch"], atol=1e-4)  # prepared and fresh inputs: one protocol
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".part")]
