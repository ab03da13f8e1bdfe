"""MediaPipe's networks as torch modules, against OpenVINO's answer on the same files; files that are damaged."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fpg.common.errors import InputError
from fpg.common.openvino import core
from fpg.common.upright import crop_upright
from fpg.faces.geometry import letterbox, roi_around
from fpg.faces.mediapipe import DETECTOR_FILE, LANDMARK_FILE, BlazeFaceDetector, model_path
from fpg.models.face_networks import SIDE, FaceDetectorNetwork, FaceLandmarkNetwork
from fpg.models.tflite import read_tflite


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    path = importlib.metadata.distribution("scikit-image").locate_file("skimage/data/astronaut.png")
    return np.array(Image.open(str(path)).convert("RGB"))


def by_openvino(name: str, images: np.ndarray) -> list[np.ndarray]:
    """Outputs, largest first, for inputs float32 [B, 192, 192, 3], one by one."""
    model: Any = core().compile_model(core().read_model(model_path(name)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = [sorted((np.array(value) for value in model([image[None]]).values()), key=lambda a: -a.size) for image in images]
    return [np.concatenate(parts) for parts in zip(*answers, strict=True)]


def real_and_random(name: str, portrait: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 [5, 192, 192, 3]: a real face as the network gets it, smooth colours, noise."""
    if name == DETECTOR_FILE:
        face = letterbox(portrait, SIDE)[0]
    else:
        found = BlazeFaceDetector().detect(portrait)[0]
        crop = crop_upright(portrait, roi_around(found.box, found.points[0], found.points[1], 1.5), SIDE)
        assert crop is not None
        face = crop
    smooth = rng.integers(0, 256, (2, 6, 6, 3), np.uint8).repeat(32, 1).repeat(32, 2)
    return np.stack([face, *smooth, *rng.integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)])


def planes(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()


def close(ours: torch.Tensor, theirs: np.ndarray) -> None:
    """Within 1e-3 of the largest magnitude."""
    assert np.abs(ours.numpy() - theirs).max() <= 1e-3 * max(1.0, float(np.abs(theirs).max()))


def test_detector(portrait: np.ndarray, rng: np.random.Generator) -> None:
    images = real_and_random(DETECTOR_FILE, portrait, rng)
    boxes, scores = by_openvino(DETECTOR_FILE, images.astype(np.float32) / 127.5 - 1)
    with torch.no_grad():
        answer = FaceDetectorNetwork(model_path(DETECTOR_FILE))(planes(images))
    assert answer.boxes.shape == (5, 2304, 16)
    assert answer.scores.shape == (5, 2304)
    close(answer.boxes, boxes)
    close(answer.scores, scores[..., 0])
    assert float(answer.scores[0].max()) > 2  # the face
    assert float(answer.scores[3].max()) < 0  # noise


def test_landmarks(portrait: np.ndarray, rng: np.random.Generator) -> None:
    images = real_and_random(LANDMARK_FILE, portrait, rng)
    points, presence = by_openvino(LANDMARK_FILE, images.astype(np.float32) / 255)
    with torch.no_grad():
        answer = FaceLandmarkNetwork(model_path(LANDMARK_FILE))(planes(images))
    close(answer.points, points.reshape(5, 468, 3))
    close(answer.presence, presence.reshape(5))
    assert float(answer.presence[0]) > 2


@pytest.mark.parametrize("network", ["detector", "landmarks"])
def test_a_batch_is_its_images_one_by_one(network: str, rng: np.random.Generator) -> None:
    module = FaceDetectorNetwork(model_path(DETECTOR_FILE)) if network == "detector" else FaceLandmarkNetwork(model_path(LANDMARK_FILE))
    images = planes(rng.integers(0, 256, (3, SIDE, SIDE, 3), np.uint8))
    with torch.no_grad():
        together, apart = module(images), [module(image[None]) for image in images]
    for index, value in enumerate(together):
        torch.testing.assert_close(value, torch.cat([answer[index] for answer in apart]), atol=1e-3, rtol=1e-4)


def test_files_that_are_none(tmp_path: Path) -> None:
    whole = model_path(LANDMARK_FILE).read_bytes()
    for name, content, said in [
        ("empty", b"", "is not a TensorFlow Lite model"),
        ("other", b"x" * 100, "is not a TensorFlow Lite model"),
        ("cut", whole[: len(whole) // 3], "is damaged"),
        ("header", whole[:60], "is damaged"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=said):
            FaceLandmarkNetwork(tmp_path / name)
    with pytest.raises(InputError, match="No such file"):
        read_tflite(tmp_path / "missing")
    with pytest.raises(InputError, match="is another network"):
        FaceDetectorNetwork(model_path(LANDMARK_FILE))


def test_damage_anywhere_is_an_error_or_another_network_and_never_a_crash(tmp_path: Path, rng: np.random.Generator) -> None:
    """Bytes of the structure, which lies apart from the weights, are overwritten."""
    whole = bytearray(model_path(LANDMARK_FILE).read_bytes())
    structure = [i for i in range(0, len(whole) - 4096, 4096) if len(set(whole[i : i + 4096])) < 120] or [0]
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        start = int(rng.choice(structure))
        for at in rng.integers(start, start + 4096, 12):
            data[int(at)] = int(rng.integers(256))
        path = tmp_path / "d.tflite"
        path.write_bytes(data)
        try:
            read_tflite(path)
        except InputError:
            refused += 1
    assert refused > 5
