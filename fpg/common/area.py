"""Images made smaller by area, as OpenCV's `INTER_AREA` does it: by the compiled kernels where they are built, several times as fast."""

from __future__ import annotations

import cv2
import numpy as np

from fpg.common.native import native, use_native


def shrink(image: np.ndarray, height: int, width: int, *, out: np.ndarray | None = None) -> np.ndarray:
    """An image of `height` x `width`, every pixel the mean of what it covers; the same with and without kernels.

    Args:
        image: uint8 [H, W, 3]; may be a part of a larger image.
        height, width: 1 to H and W.
        out: where the result goes, uint8 [height, width, 3]; may be a part of a larger image.

    Returns:
        uint8 [height, width, 3]; `out` where that is given.

    Raises:
        ValueError: not such an image, or a size that is not smaller.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image: expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
    if not (1 <= height <= image.shape[0] and 1 <= width <= image.shape[1]):
        raise ValueError(f"size: expected 1 x 1 to {image.shape[0]} x {image.shape[1]}, got {height} x {width}")
    result = np.empty((height, width, 3), np.uint8) if out is None else out
    if result.dtype != np.uint8 or result.shape != (height, width, 3):
        raise ValueError(f"out: expected uint8 [{height}, {width}, 3], got {result.dtype} {list(result.shape)}")
    if use_native() and _rows_of_pixels(image) and _rows_of_pixels(result):
        source, target = (array.__array_interface__["data"][0] for array in (image, result))
        rows, out_rows = image.strides[0], result.strides[0]
        native.shrink(image=source, row_bytes=rows, size=image.shape[:2], out=target, out_row_bytes=out_rows, out_size=(height, width))
    else:
        result[...] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return result


def _rows_of_pixels(image: np.ndarray) -> bool:
    """Whether a row's bytes follow each other, and rows lie at least their length apart."""
    return image.strides[1:] == (3, 1) and image.strides[0] >= 3 * image.shape[1]
