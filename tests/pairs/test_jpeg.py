"""The JPEG round trip against libjpeg-turbo itself (OpenCV's)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from fpg.ops.backend import native_built
from fpg.ops.ragged import RaggedBatch
from fpg.pairs.operations import jpeg_round_trip

needs_native = pytest.mark.skipif(not native_built(), reason="fpg._C is not built")


def photograph(height: int, width: int) -> np.ndarray:
    from skimage.data import astronaut

    return cv2.resize(astronaut(), (width, height), interpolation=cv2.INTER_AREA)


def through_file(image: np.ndarray, quality: int) -> np.ndarray:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    done, data = cv2.imencode(".jpg", image[..., ::-1].copy(), settings)
    assert done
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]


def run(images: list[np.ndarray], quality: list[int], device: str = "cpu") -> list[np.ndarray]:
    out = jpeg_round_trip(RaggedBatch.from_list(images).to(device), torch.tensor(quality, dtype=torch.int32))
    return [out.item(i).cpu().numpy() for i in range(len(images))]


@needs_native
@pytest.mark.parametrize("quality", [1, 25, 40, 50, 75, 90, 100])
def test_photographs_agree_with_libjpeg(quality: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "native")
    images = [photograph(*s) for s in [(64, 96), (121, 77), (200, 173), (16, 16), (17, 33)]]
    for image, result in zip(images, run(images, [quality] * len(images)), strict=True):
        difference = np.abs(result.astype(int) - through_file(image, quality))
        assert (difference <= 2).mean() >= 0.999, difference.max()


@needs_native
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (15, 16), (16, 15), (31, 18)])
def test_noise_and_small_sizes(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "native")
    image = np.random.default_rng(shape[0] * 100 + shape[1]).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for quality in (10, 60, 95):
        difference = np.abs(run([image], [quality])[0].astype(int) - through_file(image, quality))
        assert difference.max() <= 2


@needs_native
def test_quality_zero_leaves_the_image() -> None:
    images = [photograph(33, 20), photograph(40, 50)]
    kept, changed = run(images, [0, 30])
    np.testing.assert_array_equal(kept, images[0])
    assert (changed != images[1]).any()


@needs_native
def test_threads_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "native")
    images = [photograph(50 + 7 * i, 64 - 3 * i) for i in range(5)]
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(np.concatenate([x.ravel() for x in run(images, [40, 50, 60, 70, 80])]))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_refuses() -> None:
    batch = RaggedBatch.from_list([np.zeros((4, 4, 3), np.uint8)])
    with pytest.raises(ValueError, match=r"quality: expected int32 \[1\]"):
        jpeg_round_trip(batch, torch.tensor([50.0]))
    with pytest.raises(ValueError, match=r"quality: expected values in 0\.\.100, got 101"):
        jpeg_round_trip(batch, torch.tensor([101], dtype=torch.int32))
    with pytest.raises(ValueError, match="images: expected flat uint8 with 3 channels"):
        jpeg_round_trip(RaggedBatch.from_list([np.zeros((4, 4), np.uint8)]), torch.tensor([50], dtype=torch.int32))
    with pytest.raises(ValueError, match="at least one pixel"):
        jpeg_round_trip(RaggedBatch.from_list([np.zeros((0, 4, 3), np.uint8)]), torch.tensor([50], dtype=torch.int32))


@pytest.mark.cuda
def test_cuda_equals_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "native")
    images = [photograph(50 + 7 * i, 64 - 3 * i) for i in range(5)]
    quality = [0, 40, 60, 80, 100]
    for cpu, gpu in zip(run(images, quality), run(images, quality, "cuda"), strict=True):
        np.testing.assert_array_equal(cpu, gpu)
