"""Fused perception statistics against what one would write instead: torch, tight NumPy, and a per-sample loop.

    python benchmarks/perception.py [--json] [--batch 32] [--size 380] [--threads 2] [--rounds 15]

`ratio` is the alternative's time over ours, the median over rounds in which all run one after another; `low` and `high` are
the quartiles. Results of all alternatives are compared before anything is timed.

`numpy-loop` does what the training step released with FPG (ACM MM 2024) does per sample before it refines one, in the same order, and is
compared with ours from the same inputs (images, maps, masks, logits of a batch of pairs) to the same decisions. It copies both images of
the pair, kept for a blend that may follow; copies the map and scales it by its maximum; takes the mask to NumPy; makes indicators of the
mask and of what exceeds the map's mean by boolean indexing; intersects them, and writes the intersection through its indices; counts by
comparing and adding; takes the sample's softmax. It runs over both halves of the batch, although the real half's answers are never
used, as released. The remaining region it makes for candidates alone, ours for every sample. Left out are the random draw, feathering and
re-blending of the chosen samples, which other benchmarks time, and what a GPU adds: there each of the copies waits for the device.
`numpy-loop without image copies` leaves those two copies away.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fpg.ops.backend import backend
from fpg.ops.perception import perception_statistics, perception_statistics_reference

Statistics = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Decisions = tuple[np.ndarray, np.ndarray, np.ndarray, Any]
"""Share |D| / |{m > 0}|, probability of the sample's own class, candidates for refinement, remaining regions by index."""


def make_input(batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Response maps as training makes them (12 x 12, bilinear, scaled to [0, 1]) and round soft masks: float32 [B, S, S] each."""
    coarse = torch.randn(batch, 1, 12, 12).clamp(min=0)
    coarse[1::2, :, :, 4:] = 0  # every second detector looks past the face: a candidate for refinement
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


def numpy_loop(images: Tensor, maps: np.ndarray, masks: Tensor, logits: Tensor) -> Decisions:
    """Sample after sample with the copies of the released training step; see the module's docstring for what it mirrors."""
    pairs = len(maps) // 2
    shares, probabilities, candidates, regions = [], [], [], {}
    for index in range(len(maps)):
        copies = images[index - pairs].clone(), images[index].clone()  # both halves, kept for a blend that may follow
        response = maps[index].copy()
        peak = response.max()
        response = response[None] * (1 / peak if peak != 0 else 1)
        soft = masks[index].cpu().numpy()
        support = np.ones_like(response)
        support[soft == 0] = 0
        positive = response[response > 0]
        threshold = positive.mean() if positive.size else np.float32(0)
        above = np.zeros_like(response)
        above[response > threshold] = 1
        common = np.where(np.logical_and(soft > 0, above == 1))
        dominant = np.zeros_like(support)
        dominant[common] = 1
        masked = np.sum(support == 1)
        share = np.sum(dominant == 1) / (masked + 1e-12)
        probability = logits[index].softmax(dim=-1)[int(index >= pairs)].cpu().numpy()
        candidate = bool(share < 0.2 and probability > 0.5 and index >= pairs and masked > 1)
        if candidate:
            remaining = support.copy()
            remaining[common] = 0
            regions[index] = remaining[0].astype(np.uint8)
        shares.append(share)
        probabilities.append(float(probability))
        candidates.append(candidate)
        del copies
    return np.array(shares), np.array(probabilities), np.array(candidates), regions


def fused(maps: Tensor, masks: Tensor, logits: Tensor) -> Decisions:
    """The same decisions from the kernel: no copies, no loop; the region is there for every sample."""
    statistics = perception_statistics(maps, masks)
    pairs = len(maps) // 2
    forged = torch.arange(len(maps)) >= pairs
    share = statistics.dominant / (statistics.masked + 1e-12)
    probability = torch.where(forged, *logits.softmax(dim=-1).unbind(1)[::-1])
    candidate = (share < 0.2) & (probability > 0.5) & forged & (statistics.masked > 1)
    return share.numpy(), probability.numpy(), candidate.numpy(), statistics.remaining.numpy()


def check_loop(ours: Decisions, other: Decisions) -> None:
    """The same shares and regions, but for pixels within rounding of the threshold (the loop's mean is float32's), and the same choice."""
    np.testing.assert_allclose(ours[0], other[0], atol=1e-4)
    np.testing.assert_allclose(ours[1], other[1], rtol=1e-6)
    np.testing.assert_array_equal(ours[2], other[2])
    if not other[2].any():
        raise SystemExit("no sample is a candidate for refinement, so that regions cannot be compared: take a larger --batch")
    for index, region in other[3].items():
        assert np.mean(ours[3][index] != region) < 1e-4, f"region {index}"


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
        "torch-reference": lambda: perception_statistics_reference(maps, masks),
        "numpy-tight": lambda: numpy_tight(maps_np, masks_np),
    }
    ours = tuple(np.asarray(t) for t in perception_statistics(maps, masks))
    for name, call in alternatives.items():
        check(ours, tuple(np.asarray(t) for t in call()), name)
    images, logits = torch.rand(args.batch, 3, args.size, args.size), torch.randn(args.batch, 2)
    masks_4d, few = masks[:, None], torch.zeros(args.batch, 0)
    loops: dict[str, Callable[[], Decisions]] = {
        "numpy-loop": lambda: numpy_loop(images, maps_np, masks_4d, logits),
        "numpy-loop without image copies": lambda: numpy_loop(few, maps_np, masks_4d, logits),
    }
    for call in loops.values():
        check_loop(fused(maps, masks_4d, logits), call())

    ours_calls = {"ours": lambda: perception_statistics(maps, masks), "ours-decisions": lambda: fused(maps, masks_4d, logits)}
    seconds = time_rounds({**ours_calls, **alternatives, **loops}, args.rounds)
    cases = []
    for name in [*alternatives, *loops]:
        mine_seconds = seconds["ours-decisions" if name in loops else "ours"]
        ratios = [other / mine for other, mine in zip(seconds[name], mine_seconds, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        milliseconds = {"ms": 1e3 * statistics.median(seconds[name]), "ours_ms": 1e3 * statistics.median(mine_seconds)}
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
