"""JPEG round trip: what baseline JPEG with 4:2:0 chroma does to images, on the CPU or a GPU.

ITU-T T.81 and JFIF, with the arithmetic of libjpeg's accurate integer transform and its smooth chroma upsampling, so that a
GPU sees the artefacts that files have. Entropy coding changes nothing and is left out.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from fpg.ops.backend import backend, native_module, native_target
from fpg.ops.launch import check_batch, flat_sizes, views
from fpg.ops.memory import to_device
from fpg.ops.ragged import RaggedBatch


def jpeg_round_trip(images: RaggedBatch, quality: Tensor) -> RaggedBatch:
    """Compress each image and decompress it again.

    Args:
        images: uint8, 3 channels (RGB), not empty images.
        quality: int32 [B] on the CPU, 1..100 as libjpeg scales its tables; 0 leaves that image as it is.

    Returns:
        A new batch of the same sizes, within 2/255 of libjpeg-turbo (bit-equal where its build follows the standard path).

    Raises:
        ValueError: another dtype, number of channels, batch size, or a quality outside 0..100.
    """
    check_batch("images", images, torch.uint8, 3, apart=True)
    if quality.dtype != torch.int32 or quality.shape != (len(images),) or quality.device.type != "cpu":
        raise ValueError(
            f"quality: expected int32 [{len(images)}] on the CPU, got {quality.dtype} {list(quality.shape)} on {quality.device}"
        )
    if len(images) and (int(quality.min()) < 0 or int(quality.max()) > 100):
        raise ValueError(f"quality: expected values in 0..100, got {int(quality.min())}..{int(quality.max())}")
    if any(h < 1 or w < 1 for h, w in images.host_sizes):
        raise ValueError("images: expected at least one pixel each")
    device = images.data.device
    out = RaggedBatch(images.data.clone(), images.offsets, images.sizes, 3, images.host_sizes)
    if len(images) == 0:
        return out
    if backend(device.type) == "reference":
        return _reference(out, quality)
    units = np.array([((h + 15) // 16) * ((w + 15) // 16) * 384 for h, w in images.host_sizes], np.int64)
    starts = to_device(torch.from_numpy(np.cumsum(units) - units), device)
    planes = torch.empty(int(units.sum()), dtype=torch.uint8, device=device)
    on_device = to_device(quality.contiguous(), device)
    native_module().jpeg_round_trip(
        images=out.native(),
        quality=on_device.data_ptr(),
        planes=planes.data_ptr(),
        plane_offsets=starts.data_ptr(),
        target=native_target(device),
    )
    return out


def jpeg_file(image: np.ndarray, quality: int) -> np.ndarray:
    """uint8 [H, W, 3], RGB, through a baseline JPEG file at `quality` (0..100) and back, chroma subsampled 4:2:0.

    Raises:
        ValueError: an image that no JPEG file can hold.
    """
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if decoded is None:
        raise ValueError(f"image: cannot be compressed as JPEG, got {list(image.shape)}")
    return np.ascontiguousarray(decoded[..., ::-1])


def _reference(images: RaggedBatch, quality: Tensor) -> RaggedBatch:
    """Through OpenCV's JPEG files, on the host."""
    items = views(images.data, images.offsets, flat_sizes(images), 3)
    for view, q in zip(items, quality.tolist(), strict=True):
        if q:
            view.copy_(torch.from_numpy(jpeg_file(view.cpu().numpy(), q)))
    return images
