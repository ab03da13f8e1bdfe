"""The mask chain on one CPU thread against OpenCV: from landmarks to the soft mask of a pair, and feathering alone.

    python benchmarks/masks.py [--json] [--height 576] [--width 460] [--batch 16] [--rounds 11]

`opencv` is `fpg.pairs.opencv` (OpenCV and NumPy, already limited to the surroundings of the mask); `opencv-scipy` is the chain as
published code has it: elastic field per pixel with SciPy's Gaussian. `ratio` is the alternative's time over ours, the median over
rounds in which both run one after the other; `low` and `high` are the quartiles.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from fpg.ops.feathering import feather, feather_masks
from fpg.ops.mask_table import MaskTable
from fpg.ops.ragged import RaggedBatch
from fpg.pairs.draws import PairParams, draw_pair
from fpg.pairs.geometry import affine_matrix
from fpg.pairs.opencv import deform_mask, face_mask, warp_mask
from fpg.pairs.operations import soft_masks

VECTORS = Path(__file__).parents[1] / "tests" / "vectors" / "data" / "hulls.npz"


def scipy_deform(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The elastic change with noise per pixel, SciPy's Gaussian and OpenCV's remap."""
    height, width = mask.shape
    dx, dy = (np.float32(gaussian_filter(rng.random((height, width)) * 2 - 1, 7) * 50) for _ in range(2))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return cv2.remap(mask, np.float32(x + dx), np.float32(y + dy), cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--height", type=int, default=576)
    parser.add_argument("--width", type=int, default=460)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    size = (args.height, args.width)
    data = np.load(VECTORS)
    landmarks = data["lm0"] * (np.array(size[::-1]) / data["shape0"][::-1])  # the face fills the crop as context crops have it
    params = [draw_pair(rng) for _ in range(args.batch)]

    table = MaskTable([size] * args.batch)
    table.set_hulls([landmarks] * args.batch, [p.family for p in params], [p.points for p in params])
    geometry, draws = [p.geometry for p in params], [p.feather for p in params]
    table.set_warp([g.scale for g in geometry], [g.translate for g in geometry], [g.noise_key for g in geometry])
    table.set_feather([(f.height, f.width, f.k1, f.k2, f.sigma) for f in draws], [p.ratio for p in params])
    window = (args.height // 4, args.width // 8, args.height * 6 // 10, args.width * 3 // 4)

    def soft_window() -> object:
        table.set_windows([window] * args.batch)
        result = soft_masks(table)
        table.set_windows([(0, 0, *size)] * args.batch)
        return result

    def face(p: PairParams) -> np.ndarray:
        return face_mask(landmarks, p.family, *size, p.points)

    def move(p: PairParams, mask: np.ndarray) -> np.ndarray:
        return warp_mask(mask, affine_matrix(p.geometry, *size))

    def soften(p: PairParams, mask: np.ndarray) -> np.ndarray:
        return feather(mask, p.feather.height, p.feather.width, p.feather.k1, p.feather.k2, p.feather.sigma) * np.float32(p.ratio)

    def deform(p: PairParams, mask: np.ndarray) -> np.ndarray:
        return deform_mask(mask, p.geometry.noise_key, 50, 7)

    warped = [deform(p, move(p, face(p))) for p in params]
    batch = RaggedBatch.from_list(warped)
    calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "soft masks, window, vs opencv": (soft_window, lambda: [soften(p, deform(p, move(p, face(p)))) for p in params]),
        "soft masks, window, vs opencv-scipy": (
            soft_window,
            lambda: [soften(p, scipy_deform(move(p, face(p)), rng)) for p in params],
        ),
        "soft masks, whole, vs opencv": (lambda: soft_masks(table), lambda: [soften(p, deform(p, move(p, face(p)))) for p in params]),
        "feather vs opencv": (
            lambda: feather_masks(table, batch),
            lambda: [soften(p, mask) for p, mask in zip(params, warped, strict=True)],
        ),
    }
    cases = []
    for name, (ours, theirs) in calls.items():
        seconds = [(_time(ours), _time(theirs)) for _ in range(args.rounds + 1)][1:]
        ratios = [b / a for a, b in seconds]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        per_item = [1e3 * statistics.median(column) / args.batch for column in zip(*seconds, strict=True)]
        cases.append({"name": name, "ratio": middle, "low": low, "high": high, "ms": per_item[1], "ours_ms": per_item[0]})
    if args.json:
        setting = {"height": args.height, "width": args.width, "batch": args.batch, "threads": 1, "machine": platform.machine()}
        print(json.dumps({"benchmark": "masks", **setting, "cases": cases}))
    else:
        print(f"masks, {args.batch} of {args.height} x {args.width}, 1 thread, per item")
        for case in cases:
            print(
                f"  {case['name']:38s} {case['ratio']:6.1f} x  ({case['low']:.1f} to {case['high']:.1f};"
                f" {case['ms']:.2f} ms, ours {case['ours_ms']:.3f} ms)"
            )
    return 0


def _time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
