"""The image operations of a pair against OpenCV, NumPy and eager torch, one thread, one operation per line.

    python benchmarks/image_ops.py [--json] [--height 460] [--width 576] [--rounds 40]

One image at a time, as a data loader makes pairs: a context crop of height x width, of which the operations see the window that reaches
the detection crop (about 340 x 310 at 460 x 576). `ratio` is the alternative's time over ours, the median over rounds in which both
run one after the other; `low` and `high` are the quartiles. Results are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from fpg.common.codec import compress_jpeg
from fpg.common.crops import network_input
from fpg.common.rectangles import Crop
from fpg.ops.backend import backend
from fpg.ops.magnitude import magnitude_refinement, magnitude_step_reference, magnitude_vote, magnitude_vote_reference
from fpg.ops.ragged import RaggedBatch
from fpg.pairs import opencv
from fpg.pairs.draws import ColorParams, GeometryParams, ResampleParams
from fpg.pairs.geometry import affine_fields, affine_matrix
from fpg.pairs.operations import (
    blend,
    change_color,
    color_fields,
    crop_resize,
    jpeg_round_trip,
    resample,
    resample_fields,
    warp,
)


@dataclass
class Case:
    """One comparison; both sides give arrays of the same meaning."""

    name: str
    ours: Callable[[], list[np.ndarray]]
    other: Callable[[], list[np.ndarray]]
    tolerance: float
    """Largest difference allowed on 99.9 % of the values."""


def smooth_image(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3] with the smoothness of a photograph and a little noise."""
    coarse = rng.integers(0, 256, (height // 12 + 2, width // 12 + 2, 3), dtype=np.uint8)
    noise = rng.normal(0, 4, (height, width, 3))
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + noise, 0, 255).astype(np.uint8)


def items(batch: RaggedBatch) -> list[np.ndarray]:
    return [batch.item(i).numpy() for i in range(len(batch))]


def uint8_cases(rng: np.random.Generator, height: int, width: int, size: int) -> list[Case]:
    window = (
        height * 340 // 460 // 32 * 32,
        width * 310 // 576 // 32 * 32,
    )  # multiples of 32: see `change_color` on HSV
    images = [smooth_image(rng, *window) for _ in range(3)]
    batch, three = RaggedBatch.from_list(images[:1]), RaggedBatch.from_list(images)
    color = ColorParams((12, -7, 3), (-0.2, 0.1, -0.1), (1.07, -0.05))
    row = torch.tensor([color_fields(color.rgb_shift, color.hsv_shift, color.contrast)])
    cases = [
        Case(
            "colour (RGB, HSV, contrast): opencv",
            lambda: items(change_color(batch, row)),
            lambda: [opencv.change_color(images[0], color)],
            2,
        ),
        Case(
            "colour of 3 images, contrast only: opencv",
            lambda: items(change_color(three, torch.tensor([color_fields(contrast=color.contrast)] * 3))),
            lambda: [opencv.change_color(i, ColorParams(None, None, color.contrast)) for i in images],
            0,
        ),
    ]
    for name, change in (
        ("down and up by 2", ResampleParams(2, None)),
        ("down and up by 4", ResampleParams(4, None)),
        ("sharpen", ResampleParams(None, (0.3, 0.8))),
    ):
        fields = torch.tensor([resample_fields(change.down_scale, change.sharpen)])
        cases.append(
            Case(
                f"resample, {name}: opencv",
                lambda fields=fields: items(resample(batch, fields)),
                lambda change=change: [opencv.resample(images[0], change)],
                1,
            )
        )
    geometry = GeometryParams((1.03, 0.97), (0.02, -0.01), 0)
    matrix = affine_matrix(geometry, *window)
    affine = torch.tensor([affine_fields(geometry, *window)], dtype=torch.float64)
    cases.append(
        Case(
            "warp: opencv",
            lambda: items(warp(batch, affine)),
            lambda: [cv2.warpAffine(images[0], matrix, window[::-1], flags=cv2.INTER_LINEAR)],
            1,
        )
    )
    mask = cv2.GaussianBlur((rng.random(window) > 0.5).astype(np.float32), (25, 25), 9)
    masks, background = RaggedBatch.from_list([mask]), RaggedBatch.from_list(images[1:2])
    cases.append(
        Case(
            "blend: opencv and numpy",
            lambda: items(blend(batch, background, masks)),
            lambda: [opencv.blend(images[0], images[1], mask)],
            0,
        )
    )
    quality = torch.tensor([75], dtype=torch.int32)
    cases.append(
        Case(
            "JPEG round trip: opencv (encode and decode)",
            lambda: items(jpeg_round_trip(batch, quality)),
            lambda: [compress_jpeg(images[0], 75)],
            2,
        )
    )
    crop = Crop(13, window[0] - 11, 10, window[1] - 9)
    rectangle = torch.tensor([crop], dtype=torch.int32)
    batches = [RaggedBatch.from_list([i]) for i in images]

    def ours() -> list[np.ndarray]:
        result = crop_resize(batches, masks, rectangle, size)
        assert result.masks is not None
        return [*(t[0].numpy() for t in result.images), result.masks[0, 0].numpy()]

    def other() -> list[np.ndarray]:
        soft = cv2.resize(mask[crop.slices], (size, size), interpolation=cv2.INTER_LINEAR)
        return [*(network_input(i, crop, size) for i in images), np.clip(soft, 0, 1)]

    cases.append(Case("crop and resize of 3 images and mask: opencv", ours, other, 1e-5))
    return cases


def float_cases(batch: int, size: int) -> list[Case]:
    source, background, fake, grad = (torch.rand(batch, 3, size, size) for _ in range(4))
    mask = torch.rand(batch, 1, size, size)
    grad = grad - 0.5
    votes = magnitude_vote(grad, source, background)
    return (
        [
            Case(
                "magnitude vote: torch-eager",
                lambda: [magnitude_vote(grad, source, background).numpy()],
                lambda: [magnitude_vote_reference(grad, source, background).numpy()],
                0,
            ),
            Case(
                "magnitude refinement: torch-eager",
                lambda: [magnitude_refinement(source, background, fake, mask, grad, 0.01)[0].numpy()],
                lambda: [
                    magnitude_step_reference(
                        source, background, fake, mask, magnitude_vote_reference(grad, source, background), 0.01
                    ).numpy()
                ],
                1e-5,
            ),
        ]
        if len(votes)
        else []
    )


def check(case: Case) -> None:
    """Both sides agree on 99.9 % of the values within the tolerance."""
    for a, b in zip(case.ours(), case.other(), strict=True):
        difference = np.abs(a.astype(np.float64) - b)
        if np.mean(difference > case.tolerance) > 1e-3:
            raise AssertionError(f"{case.name}: differs by up to {difference.max()}")


def measure(case: Case, rounds: int) -> dict[str, object]:
    seconds: tuple[list[float], list[float]] = ([], [])
    for index in range(rounds + 3):
        for call, kept in zip((case.ours, case.other), seconds, strict=True):
            start = time.perf_counter()
            call()
            if index >= 3:
                kept.append(time.perf_counter() - start)
    low, middle, high = statistics.quantiles([b / a for a, b in zip(*seconds, strict=True)], n=4)
    ours_ms, other_ms = (1e3 * statistics.median(s) for s in seconds)
    return {"name": case.name, "ratio": middle, "low": low, "high": high, "ours_ms": ours_ms, "ms": other_ms}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--height", type=int, default=460, help="of the context crop, in pixels")
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--size", type=int, default=380, help="side of the detector's input, in pixels")
    parser.add_argument("--batch", type=int, default=4, help="of the float operations")
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(0)

    cases = uint8_cases(np.random.default_rng(0), args.height, args.width, args.size) + float_cases(args.batch, args.size)
    results = []
    for case in cases:
        check(case)
        results.append(measure(case, args.rounds))
    setting = {"height": args.height, "width": args.width, "size": args.size, "batch": args.batch, "threads": 1}
    if args.json:
        print(json.dumps({"benchmark": "image_ops", **setting, "backend": backend("cpu"), "machine": platform.machine(), "cases": results}))
    else:
        print(f"image operations at {args.height} x {args.width}, one thread, backend {backend('cpu')}, OpenCV {cv2.__version__}")
        for r in results:
            times = f"{r['ms']:.3f} ms, ours {r['ours_ms']:.3f} ms"
            print(f"  {r['name']:46s} {r['ratio']:6.2f} x  ({r['low']:.2f} to {r['high']:.2f}; {times})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
