"""Shrinking by area against OpenCV, with and without the kernels: the same pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fpg.common.area import shrink
from fpg.common.native import native, native_built

KERNELS = pytest.mark.skipif(not native_built(), reason="fpg._C is not built")


@pytest.fixture(params=["reference", pytest.param("native", marks=KERNELS)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FPG_BACKEND", request.param)
    return str(request.param)


def sizes(rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """H, W, h, w: the face networks' own, whole factors, one side as it is, single pixels, and a few of any kind."""
    known = [(720, 1280, 108, 192), (720, 1088, 127, 192), (1080, 1920, 108, 192), (300, 200, 150, 100), (96, 90, 32, 30)]
    edges = [(50, 61, 50, 20), (50, 61, 11, 61), (7, 9, 7, 9), (13, 5, 1, 1), (1, 300, 1, 192)]
    return (
        known
        + edges
        + [(h, w, int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1))) for h, w in rng.integers(1, 300, (20, 2)).tolist()]
    )


def test_as_opencv(way: str, rng: np.random.Generator) -> None:
    for height, width, h, w in sizes(rng):
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        expected = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA).reshape(h, w, 3)
        assert np.array_equal(shrink(image, h, w), expected), (height, width, h, w)


def test_whole_factors_are_told_as_opencv_tells_them(way: str, rng: np.random.Generator) -> None:
    """49 or 98 is none for it: 1 / (1 / 49) is less than 49 in double precision, and means are then weighted sums instead of exact ones."""
    factors = [*[n for n in range(2, 400) if 1 / (1 / n) != n][:8], 2, 3, 10]
    for factor in factors:
        for other in (2, 3):
            levels = (127, 128) if other == 2 else (0, 255)  # near ties
            image = rng.choice(np.array(levels, np.uint8), (4 * factor, 5 * other, 3))
            assert np.array_equal(shrink(image, 4, 5), cv2.resize(image, (5, 4), interpolation=cv2.INTER_AREA)), (factor, other)


def test_parts_of_images(way: str, rng: np.random.Generator) -> None:
    image, canvas = rng.integers(0, 256, (200, 300, 3), np.uint8), np.full((80, 90, 3), 7, np.uint8)
    part, inner = image[20:190, 30:260], canvas[5:65, 3:83]
    assert shrink(part, 60, 80, out=inner) is inner
    assert np.array_equal(inner, shrink(part.copy(), 60, 80))
    assert (np.delete(canvas, np.s_[5:65], 0) == 7).all()
    assert (np.delete(canvas, np.s_[3:83], 1) == 7).all()
    mirrored = image[:, ::-1]  # pixels that do not follow each other
    assert np.array_equal(shrink(mirrored, 100, 150), shrink(np.ascontiguousarray(mirrored), 100, 150))


def test_refused(way: str) -> None:
    image = np.zeros((10, 12, 3), np.uint8)
    for wrong, size, message in (
        (image.astype(np.float32), (5, 5), r"image: expected uint8 \[H, W, 3\], got float32 \[10, 12, 3\]"),
        (image[..., 0], (5, 5), "image: expected"),
        (image, (11, 5), "size: expected 1 x 1 to 10 x 12, got 11 x 5"),
        (image, (5, 0), "size: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            shrink(wrong, *size)
    with pytest.raises(ValueError, match=r"out: expected uint8 \[5, 6, 3\], got uint8 \[6, 5, 3\]"):
        shrink(image, 5, 6, out=np.zeros((6, 5, 3), np.uint8))


@KERNELS
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"out_size": (0, 1)}, "out: expected 1 x 1 to 10 x 10, got 0 x 1"),
        ({"out_size": (11, 1)}, "out: expected 1 x 1 to 10 x 10, got 11 x 1"),
        ({"row_bytes": 29}, "row_bytes: expected at least 30 and 15, got 29 and 30"),
        ({"image": 0}, "image: expected data, got a null pointer"),
    ],
)
def test_the_kernel_refuses(changed: dict[str, object], message: str) -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    place = image.__array_interface__["data"][0]
    arguments = {"image": place, "row_bytes": 30, "size": (10, 10), "out": place, "out_row_bytes": 30, "out_size": (5, 5)}
    with pytest.raises(ValueError, match=message):
        native.shrink(**(arguments | changed))
