"""Quality targets: the analytic measure falls with blur, darkness, a turned head and a small face."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import matplotlib.cbook
import numpy as np
import pytest
import torch
from torch import Tensor

from fpg.guidance.quality import AnalyticQuality, FiqaQuality, QualityTarget
from fpg.models.fiqa import Fiqa, preprocess


@pytest.fixture(scope="module", params=["astronaut", "grace_hopper"])
def face(request: pytest.FixtureRequest) -> np.ndarray:
    """uint8 380 x 380 RGB: a face that a package carries."""
    if request.param == "astronaut":
        import skimage

        path, crop = Path(skimage.__file__).parent / "data" / "astronaut.png", np.s_[30:220, 150:300]
    else:
        with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
            path, crop = Path(file.name), np.s_[40:380, 120:400]
    image = cv2.imread(str(path))
    assert image is not None
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[crop], (380, 380))


def tensor(*images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(images).astype(np.float32) / 255).permute(0, 3, 1, 2)


def assert_falling(values: Tensor) -> None:
    assert all(b < a - 0.01 for a, b in pairwise(values.tolist())), values.tolist()


def test_range_and_type(face: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 256, face.shape).astype(np.uint8)
    images = tensor(face, np.zeros_like(face), np.full_like(face, 255), np.full_like(face, 128), noise)
    quality = AnalyticQuality()(images.requires_grad_(True))
    assert quality.shape == (5,)
    assert quality.dtype == torch.float32
    assert not quality.requires_grad
    assert (quality >= 0).all()
    assert (quality <= 2).all()
    assert 1.0 < quality[0] < 2
    assert (quality[1:4] < 0.5).all()


def test_blur_lowers(face: np.ndarray) -> None:
    assert_falling(AnalyticQuality()(tensor(face, *(cv2.GaussianBlur(face, (0, 0), sigma) for sigma in (1.0, 2.0, 4.0, 8.0)))))


def test_darkness_lowers(face: np.ndarray) -> None:
    assert_falling(AnalyticQuality()(tensor(*(np.round(face * gain) for gain in (1.0, 0.6, 0.4, 0.2, 0.05)))))


def test_overexposure_lowers(face: np.ndarray) -> None:
    assert_falling(AnalyticQuality()(tensor(*(np.minimum(face.astype(np.float32) * 0.5 + offset, 255) for offset in (64, 140, 190, 230)))))


def test_loss_of_contrast_lowers(face: np.ndarray) -> None:
    assert_falling(AnalyticQuality()(tensor(*(128 + (face.astype(np.float32) - 128) * gain for gain in (1.0, 0.5, 0.25, 0.1)))))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_turning_lowers(face: np.ndarray, axis: int) -> None:
    pose = torch.zeros(5, 3)
    pose[:, axis] = torch.tensor([0.0, 20.0, 40.0, 60.0, 89.0])
    images = tensor(*[face] * 5)
    quality = AnalyticQuality()(images, pose)
    assert_falling(quality)
    torch.testing.assert_close(AnalyticQuality()(images, -pose), quality)


def test_small_face_lowers(face: np.ndarray) -> None:
    size = torch.tensor([250.0, 160.0, 90.0, 40.0, 20.0])
    assert_falling(AnalyticQuality()(tensor(*[face] * 5), None, size))


def test_unknown_pose_or_size_is_left_out(face: np.ndarray) -> None:
    quality, nan = AnalyticQuality(), float("nan")
    images = tensor(*[face] * 3)
    pose = torch.tensor([[30.0, 0.0, 0.0], [nan, nan, nan], [30.0, 0.0, 0.0]])
    mixed = quality(images, pose, torch.tensor([60.0, nan, nan]))
    torch.testing.assert_close(mixed[:1], quality(images[:1], pose[:1], torch.tensor([60.0])))
    torch.testing.assert_close(mixed[1:2], quality(images[:1]))
    torch.testing.assert_close(mixed[2:], quality(images[:1], pose[:1]))


def test_much_the_same_at_every_input_size(face: np.ndarray) -> None:
    values = [AnalyticQuality()(tensor(cv2.resize(face, (s, s), interpolation=cv2.INTER_AREA))).item() for s in (224, 300, 380)]
    assert max(values) - min(values) < 0.15


def test_a_sample_does_not_depend_on_its_batch(face: np.ndarray) -> None:
    images = tensor(face, face // 2, 255 - face)
    together = AnalyticQuality()(images)
    torch.testing.assert_close(together, torch.cat([AnalyticQuality()(image[None]) for image in images]))


def test_fiqa_divides_by_fifty() -> None:
    weight = torch.tensor(40.0, requires_grad=True)
    images = torch.rand(4, 3, 16, 16)
    targets: list[QualityTarget] = [
        FiqaQuality(lambda x: weight * x.mean(dim=(1, 2, 3))),
        FiqaQuality(lambda x: weight * x.mean(dim=(2, 3))[:, :1]),
    ]
    first = targets[0](images, torch.zeros(4, 3), torch.ones(4))
    torch.testing.assert_close(first, 0.8 * images.mean(dim=(1, 2, 3)))
    assert not first.requires_grad
    assert targets[1](images).shape == (4,)
    with pytest.raises(ValueError, match=r"expected \[4\] from the quality network, got \[4, 3\]"):
        FiqaQuality(lambda x: x.mean(dim=(2, 3)))(images)


def test_fiqa_takes_the_network_as_it_is() -> None:
    network, images = Fiqa().eval(), torch.rand(2, 3, 64, 64)
    quality = FiqaQuality(network)(images)
    assert not quality.requires_grad
    torch.testing.assert_close(quality, network(images).detach() / 50)


@pytest.mark.parametrize(("precision", "dtype"), [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)])
@pytest.mark.parametrize("outside", [True, False])
def test_fiqa_precision_is_its_own(precision: Any, dtype: torch.dtype, outside: bool) -> None:
    """On a CPU `auto` is fp32; the caller's autocast changes nothing; one call for the batch; what is rounded to bytes stays exact."""
    layer, seen, images = torch.nn.Conv2d(3, 1, 3), [], torch.rand(3, 3, 150, 130)

    def score(batch: Tensor) -> Tensor:
        inputs = preprocess(batch)
        seen.append((len(batch), inputs, layer(inputs).dtype))
        return layer(inputs).float().mean(dim=(1, 2, 3))

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=outside):
        quality = FiqaQuality(score, precision)(images)
    assert quality.dtype == torch.float32
    ((count, inputs, found),) = seen
    assert (count, found) == (3, dtype)
    assert torch.equal(inputs, preprocess(images))
    exact = FiqaQuality(lambda batch: layer(preprocess(batch)).mean(dim=(1, 2, 3)), "fp32")(images)
    torch.testing.assert_close(quality, exact, rtol=0, atol=1e-3)


def test_fiqa_precision_is_checked() -> None:
    with pytest.raises(ValueError, match="precision: expected auto, fp32 or bf16, got 'fp16'"):
        FiqaQuality(lambda x: x, "fp16")  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [AnalyticQuality(), FiqaQuality(lambda x: x[:, 0, 0, 0])])
def test_targets_say_what_they_are(target: QualityTarget) -> None:
    assert target.name in {"analytic", "fiqa"}
    assert len(target.description) > 20


def test_errors_name_shapes(face: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"images: expected \[B, 3, S, S\], got \[1, 1, 380, 380\]"):
        AnalyticQuality()(tensor(face)[:, :1])
    with pytest.raises(ValueError, match=r"expected \[1, 3\] and \[1\]"):
        AnalyticQuality()(tensor(face), torch.zeros(3))
