"""Boxes, letterbox, crops and pose against plain arithmetic, on random input."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fpg.common.landmarks import FOREHEAD_ALONG_HULL
from fpg.common.upright import Roi, crop_upright
from fpg.faces.dlib import MESH_TO_81
from fpg.faces.geometry import iou, letterbox, pose_of_mesh, suppress
from fpg.faces.types import Detection


def test_correspondence_is_a_choice_of_81_points() -> None:
    assert len(MESH_TO_81) == len(set(MESH_TO_81)) == 81
    assert set(MESH_TO_81) <= set(range(468))
    assert sorted(FOREHEAD_ALONG_HULL) == list(range(68, 81))


def test_iou_against_counting_pixels() -> None:
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.integers(0, 30, (40, 2, 2)), axis=1)
    boxes[:, 1] += 1

    def raster(box: np.ndarray) -> np.ndarray:
        image = np.zeros((40, 40), bool)
        image[box[0, 1] : box[1, 1], box[0, 0] : box[1, 0]] = True
        return image

    counted = [(raster(boxes[0]) & raster(b)).sum() / (raster(boxes[0]) | raster(b)).sum() for b in boxes]
    np.testing.assert_allclose(iou(boxes[0].reshape(4), boxes.reshape(-1, 4)), counted)


def test_suppression_merges_by_score() -> None:
    def at(x: float, score: float) -> Detection:
        return Detection(np.array([x, 0, x + 10, 10], np.float32), score, np.full((6, 2), x, np.float32))

    merged = suppress([at(1, 0.6), at(0, 0.9), at(50, 0.7)], 0.3)
    assert [d.score for d in merged] == [0.9, 0.7]
    assert [merged[0].box[0], merged[0].points[3, 1]] == pytest.approx([0.4, 0.4])
    assert suppress([], 0.3) == []


def test_suppression_on_many_detections(rng: np.random.Generator) -> None:
    for _ in range(50):
        found = []
        for _ in range(int(rng.integers(1, 30))):
            centre, half = 60 * rng.integers(0, 3, 2) + rng.normal(0, 8, 2), rng.uniform(20, 40, 2)
            box = np.concatenate([centre - half, centre + half]).astype(np.float32)
            found.append(Detection(box, float(rng.uniform(0.5, 1)), rng.normal(0, 50, (6, 2)).astype(np.float32)))
        rest, expected = sorted(found, key=lambda d: -d.score), []
        while rest:
            group = [d for d in rest if d is rest[0] or iou(rest[0].box, d.box)[0] > 0.3]
            weights = [d.score for d in group]
            expected.append(
                (np.average([d.box for d in group], 0, weights), rest[0].score, np.average([d.points for d in group], 0, weights))
            )
            rest = [d for d in rest if not any(d is g for g in group)]
        merged = suppress(found, 0.3)
        assert [d.score for d in merged] == [score for _, score, _ in expected]
        for detection, (box, _, points) in zip(merged, expected, strict=True):
            np.testing.assert_array_equal(detection.box, box.astype(np.float32))
            np.testing.assert_array_equal(detection.points, points.astype(np.float32))


@pytest.mark.parametrize("fill", [1.0, 0.5])
@pytest.mark.parametrize("shape", [(40, 80), (90, 31), (5, 400)])
def test_letterbox_maps_back(shape: tuple[int, int], fill: float) -> None:
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 2 :, width // 2 :] = 255
    square, to_image = letterbox(image, 192, fill)
    assert square.shape == (192, 192, 3)
    ys, xs = np.nonzero(square[..., 0] > 127)
    corner = to_image(np.array([[xs.min(), ys.min()], [xs.max() + 1, ys.max() + 1]]) / 192)
    step = max(height, width) / (192 * fill)
    np.testing.assert_allclose(corner, [[width // 2 - 0.5, height // 2 - 0.5], [width - 0.5, height - 0.5]], atol=1.01 * step)


@pytest.mark.parametrize("seed", range(4))
def test_crop_shows_what_its_map_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8), (300, 260), interpolation=cv2.INTER_CUBIC)
    roi = Roi(*rng.uniform(110, 150, 2), side=float(rng.uniform(60, 150)), angle=float(rng.uniform(-3, 3)))
    crop = crop_upright(image, roi, 48)
    assert crop is not None
    inner = rng.integers(8, 40, (50, 2))
    at = roi.to_image((inner + 0.5) / 48)
    expected = cv2.remap(cv2.GaussianBlur(image, (0, 0), 0.7), at[None].astype(np.float32), None, cv2.INTER_LINEAR)[0]
    assert np.abs(crop[inner[:, 1], inner[:, 0]].astype(float) - expected).mean() < 5


def test_degenerate_crops() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    for roi in (Roi(10, 10, 0, 0), Roi(np.nan, 10, 5, 0), Roi(500, 10, 20, 0.3), Roi(10, 10, np.inf, 0)):
        assert crop_upright(image, roi, 16) is None


def test_pose_of_a_turned_head() -> None:
    rng = np.random.default_rng(3)
    head = rng.normal(size=(468, 3))
    pairs = ((33, 263), (133, 362), (127, 356), (234, 454), (61, 291), (58, 288))
    for a, b in pairs:  # a head that looks straight at the camera: left-right pairs along x, forehead to chin along y
        head[b] = head[a] + (2, 0, 0)
    for a, b in ((10, 152), (151, 175), (168, 2)):
        head[b] = head[a] + (0, 3, 0)
    assert pose_of_mesh(head) == pytest.approx((0, 0, 0), abs=1e-9)
    for _ in range(20):
        yaw, pitch, roll = rng.uniform(-70, 70, 3)
        turned = Rotation.from_euler("ZYX", [roll, -yaw, -pitch], degrees=True).apply(head)
        assert pose_of_mesh(turned) == pytest.approx((yaw, pitch, roll), abs=1e-6)
    nose = Rotation.from_euler("ZYX", [0, -30, 0], degrees=True).apply([0, 0, -1.0])
    assert nose[0] > 0, "positive yaw: the nose points to the right of the image"
    nose = Rotation.from_euler("ZYX", [0, 0, -30], degrees=True).apply([0, 0, -1.0])
    assert nose[1] < 0, "positive pitch: the nose points up"
