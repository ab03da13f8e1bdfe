"""Fused perception statistics against what one would write instead: torch, tight NumPy, and a per-sample NumPy loop.

    python benchmarks/perception.py [--json] [--batch 32] [--size 380] [--threads 2] [--rounds 15]

`ratio` is the alternative's time over ours, the median over rounds in which all run one after another; `low` and `high` are
the quartiles. Results of all alternatives are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fpg.ops import reference
from fpg.ops.backend import backend
from fpg.ops.perception import perception_statistics

Statistics = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def make_input(batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Response maps as training makes them (12 x 12, bilinear, scaled to [0, 1]) and round soft masks: float32 [B, S, S] each."""
    coarse = torch.randn(batch, 1, 12, 12).clamp(min=0)
    maps = interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    maps = maps / maps.flatten(1).amax(1)[:, None, None]
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    radius = torch.rand(batch, 1, 1) * 0.4 + 0.4
    return maps.contiguous(), (1 - (x**2 + y**2).sqrt() / radius).clamp(min=0).contiguous()


def numpy_tight(maps: np.ndarray, masks: np.ndarray) -> Statistics:
    """The whole batch at once, without temporaries that can be avoided: a product with the positive part needs no `where`."""
    count = np.count_nonzero(maps > 0, axis=(1, 2))
    total = np.maximum(maps, 0).sum(axis=(1, 2), dtype=np.float64)
    threshold = (total / np.maximum(count, 1)).astype(np.float32)
    inside = masks > 0
    above = maps > threshold[:, None, None]
    dominant = np.count_nonzero(above & inside, axis=(1, 2))
    remaining = inside & ~above
    return threshold, dominant, np.count_nonzero(inside, axis=(1, 2)), remaining.view(np.uint8)


def numpy_loop(maps: np.ndarray, masks: np.ndarray) -> Statistics:
    """Sample after sample with boolean indexing, as published code for this method does it."""
    thresholds, dominants, sizes, remainings = [], [], [], []
    for c, m in zip(maps, masks, strict=True):
        positive = c[c > 0]
        threshold = positive.mean(dtype=np.float64).astype(np.float32) if positive.size else np.float32(0)
        inside = np.where(m > 0, 1.0, 0.0)
        dominant = np.where(c > threshold, 1.0, 0.0) * inside
        remaining = inside.copy()
        remaining[dominant > 0] = 0
        thresholds.append(threshold)
        dominants.append(int(dominant.sum()))
        sizes.append(int(inside.sum()))
        remainings.append(remaining.astype(np.uint8))
    return np.array(thresholds), np.array(dominants), np.array(sizes), np.stack(remainings)


def check(ours: Statistics, other: Statistics, name: str) -> None:
    """Both give the same result (the threshold within one unit in the last place of float32)."""
    np.testing.assert_allclose(ours[0], other[0], rtol=1.2e-7, err_msg=name)
    for a, b in zip(ours[1:], other[1:], strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def time_rounds(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_index in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_index:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=380, help="side of the maps in pixels")
    parser.add_argument("--threads", type=int, default=2, help="threads of ours and of torch (NumPy uses one)")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    maps, masks = make_input(args.batch, args.size)
    maps_np, masks_np = maps.numpy(), masks.numpy()
    alternatives: dict[str, Callable[[], tuple]] = {
        "torch-reference": lambda: reference.perception_statistics(maps, masks),
        "numpy-tight": lambda: numpy_tight(maps_np, masks_np),
        "numpy-loop": lambda: numpy_loop(maps_np, masks_np),
    }
    ours = tuple(np.asarray(t) for t in perception_statistics(maps, masks))
    for name, call in alternatives.items():
        check(ours, tuple(np.asarray(t) for t in call()), name)

    seconds = time_rounds({"ours": lambda: perception_statistics(maps, masks), **alternatives}, args.rounds)
    cases = []
    for name in alternatives:
        ratios = [other / mine for other, mine in zip(seconds[name], seconds["ours"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        milliseconds = {"ms": 1e3 * statistics.median(seconds[name]), "ours_ms": 1e3 * statistics.median(seconds["ours"])}
        cases.append({"name": f"perception vs {name}", "ratio": middle, "low": low, "high": high, **milliseconds})

    if args.json:
        setting = {
            "batch": args.batch,
            "size": args.size,
            "threads": args.threads,
            "backend": backend("cpu"),
            "machine": platform.machine(),
        }
        print(json.dumps({"benchmark": "perception", **setting, "cases": cases}))
    else:
        print(f"perception statistics, {args.batch} x {args.size} x {args.size}, {args.threads} threads, backend {backend('cpu')}")
        for case in cases:
            print(
                f"  {case['name']:30s} {case['ratio']:6.1f} x  ({case['low']:.1f} to {case['high']:.1f};"
                f" {case['ms']:.2f} ms, ours {case['ours_ms']:.2f} ms)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
