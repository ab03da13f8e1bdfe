"""Kernels on a CUDA GPU: pairs per second, and each kernel's fraction of the copy bandwidth measured in the same run.

    python benchmarks/gpu_kernels.py [--json] [--pairs 64] [--rounds 20] [--csv FILE]

`pairs` makes self-blended pairs of ragged crops of about 430 x 480 (height x width) to 380 x 380, from prepared batches in page-locked
memory, as a data loader hands them over: transfers included, planning and cutting (which loaders do, `prepare`) timed apart. Alternatives:
kornia on the same GPU (`alternatives/pairs/kornia_pairs.py`; it needs crops of one size, 430 x 480, and draws hulls on the host), and
`SelfBlend` on the CPU with all of its cores. `ratio` is the alternative's time over ours, the median over rounds.

Kernel times are the profiler's, so that queueing is not in them. Bytes are counted by hand, each input read once and each output written
once; `share` is bytes / time over the bandwidth of a device-to-device copy of 1 GiB, reads and writes counted.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from alternatives.pairs.faces import Faces, faces

from fpg.ops.backend import backend
from fpg.ops.magnitude import magnitude_refinement
from fpg.ops.perception import perception_statistics
from fpg.pairs import PreparedBatch, SelfBlend, draw_pair

SIZE = 380
Bytes = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pairs", type=int, default=64, help="in a batch")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--csv", type=Path, help="also write cases and kernels there")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_kernels.py: no CUDA GPU", file=sys.stderr)
        return 1
    if backend("cuda") != "native":
        print("gpu_kernels.py: fpg._C was built without CUDA, or FPG_BACKEND says reference", file=sys.stderr)
        return 1
    bandwidth = copy_bandwidth()
    batches = [prepared(ragged_faces(args.pairs, seed), seed) for seed in range(4)]
    blend = SelfBlend(size=SIZE, device="cuda")
    cases = pair_cases(blend, batches, args.pairs, args.rounds)
    counted = pair_bytes(batches[0])
    kernels = profile(lambda: blend(batches[0]), args.rounds, counted, bandwidth, "pairs")
    kernels += guidance_kernels(args.pairs, args.rounds, bandwidth)
    result = {
        "benchmark": "gpu_kernels",
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "pairs": args.pairs,
        "copy_bandwidth_gb_s": bandwidth / 1e9,
        "cases": cases,
        "kernels": kernels,
    }
    if args.csv:
        write_csv(args.csv, result)
    if args.json:
        print(json.dumps(result))
    else:
        show(result)
    return 0


def ragged_faces(count: int, seed: int) -> Faces:
    """Context crops of 410 to 450 x 460 to 500 pixels."""
    rng = np.random.default_rng(seed)
    result = Faces([], [], [])
    for index in range(count):
        one = faces(int(rng.integers(410, 451)), int(rng.integers(460, 501)), 1, seed * 1000 + index)
        for part, values in zip(result, one, strict=True):
            part += values
    return result


def prepared(material: Faces, seed: int) -> PreparedBatch:
    """As a data loader hands it over."""
    return SelfBlend(size=SIZE).prepare(*material, np.random.default_rng(seed)).pin_memory()


def copy_bandwidth() -> float:
    """Bytes per second, read and written, of a copy within the GPU's memory."""
    source, target = (torch.empty(1 << 30, dtype=torch.uint8, device="cuda") for _ in range(2))
    source.random_()
    return 2 * (1 << 30) / statistics.median(event_seconds(lambda: target.copy_(source), 20))


def event_seconds(call: Callable[[], object], rounds: int) -> list[float]:
    """Seconds between CUDA events around each call, after three that do not count."""
    for _ in range(3):
        call()
    seconds = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)
    return seconds


def pair_cases(blend: SelfBlend, batches: list[PreparedBatch], pairs: int, rounds: int) -> list[dict[str, object]]:
    """Pairs per second of each way, in turn, over several batches that do not fit into the cache together."""
    material = faces(430, 480, pairs)
    host = SelfBlend(size=SIZE)

    def gpu() -> None:
        for batch in batches:
            blend(batch)
        torch.cuda.synchronize()

    def cpu() -> None:
        for batch in batches:
            host(batch)

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "SelfBlend on the CPU": (cpu, len(batches)),
        "prepare, one core": (lambda: host.prepare(*material, [draw_pair(np.random.default_rng(i)) for i in range(pairs)]), 1),
    }
    try:
        from alternatives.pairs.kornia_pairs import Pairs
    except ImportError as error:
        print(f"left out: kornia ({error})", file=sys.stderr)
    else:
        others = Pairs(SIZE, "cuda")

        def kornia() -> None:
            others(*material)
            torch.cuda.synchronize()

        ways["kornia on the GPU"] = (kornia, 1)
    for call in (gpu, *(way for way, _ in ways.values())):
        call()
        call()
    ours = [clock(gpu) / len(batches) / pairs for _ in range(rounds)]
    cases: list[dict[str, object]] = []
    for name, (call, share) in ways.items():
        theirs, mine = zip(*((clock(call) / share / pairs, clock(gpu) / len(batches) / pairs) for _ in range(min(rounds, 8))), strict=True)
        ratios = sorted(t / m for t, m in zip(theirs, mine, strict=True))
        extra = {"threads": torch.get_num_threads()} if "CPU" in name else {}
        row = {"low": ratios[0], "high": ratios[-1], "pairs_per_second": 1 / statistics.median(theirs), **extra}
        cases.append({"name": f"pairs vs {name}", "ratio": statistics.median(ratios), **row})
    busy = statistics.median(event_seconds(lambda: blend(batches[0]), rounds)) / pairs
    cases.append({"name": "pairs, ours", "ratio": 1.0, "pairs_per_second": 1 / statistics.median(ours), "event_pairs_per_second": 1 / busy})
    return cases


def clock(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def pair_bytes(batch: PreparedBatch) -> Bytes:
    """Bytes that each kernel of a batch has to move, by the name of its functor."""
    records, count = batch.records, len(batch)

    def area(crops: np.ndarray) -> np.ndarray:
        y0, y1, x0, x1 = crops.astype(np.float64).T
        return (y1 - y0) * (x1 - x0)

    window, coded = area(records["window"]), area(records["coded"])
    part = np.where(records["recolors_source"] != 0, area(records["warped"]), coded)
    jpeg = 3 * coded[records["quality"] != 0].sum()
    return {
        "ChangeColor": 6 * window.sum() + 18 * coded.sum(),
        "Resample": 6 * part.sum() + 6 * coded.sum(),
        "Warp": 6 * coded.sum(),
        "Blend": 13 * coded.sum(),
        "color_kernel": 4.5 * jpeg,
        "code_kernel": 3 * jpeg,
        "decode_kernel": 4.5 * jpeg,
        "CropResize": 13 * area(records["crop"]).sum() + 40 * SIZE * SIZE * count,
    }


def guidance_kernels(count: int, rounds: int, bandwidth: float) -> list[dict[str, object]]:
    """Perception statistics and magnitude refinement of a batch."""
    maps, masks = torch.rand(count, SIZE, SIZE, device="cuda"), torch.rand(count, SIZE, SIZE, device="cuda") - 0.4
    images = [torch.rand(count, 3, SIZE, SIZE, device="cuda") for _ in range(4)]
    soft = masks[:, None].clamp(min=0)
    plane = 4.0 * maps.numel()
    counted = {
        "PerceptionSum": plane,
        "PerceptionSplit": 2.25 * plane,
        "MagnitudeVote": 9 * plane,
        "MagnitudeUpdate": 13 * plane,
    }
    source, background, fake, gradient = images

    def call() -> None:
        perception_statistics(maps, masks)
        magnitude_refinement(source, background, fake, soft, gradient, 0.01)

    return profile(call, rounds, counted, bandwidth, "guidance")


def profile(call: Callable[[], object], rounds: int, counted: Bytes, bandwidth: float, group: str) -> list[dict[str, object]]:
    """Time per call of each kernel, largest first, with its bytes where they were counted."""
    call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]) as trace:
        for _ in range(rounds):
            call()
        torch.cuda.synchronize()
    spent: dict[str, list[float]] = defaultdict(list)
    for event in trace.events():
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation:
            spent[short_name(event.name)].append(event.time_range.elapsed_us())
    rows: list[dict[str, object]] = []
    for name, times in sorted(spent.items(), key=lambda item: -sum(item[1])):
        microseconds = sum(times) / rounds
        row: dict[str, object] = {"group": group, "kernel": name, "launches": len(times) / rounds, "us": microseconds}
        if name in counted:
            row |= {"megabytes": counted[name] / 1e6, "share": counted[name] / (microseconds * 1e-6) / bandwidth}
        rows.append(row)
    return rows + host_calls(trace, rounds, group)


def host_calls(trace: torch.profiler.profile, rounds: int, group: str, count: int = 8) -> list[dict[str, object]]:
    """The calls that keep the host longest, per call of the operation: what queueing costs. Slower under the profiler than without."""
    averages = sorted(trace.key_averages(), key=lambda row: -row.self_cpu_time_total)[:count]
    return [
        {"group": f"{group}, host", "kernel": row.key[:60], "launches": row.count / rounds, "us": row.self_cpu_time_total / rounds}
        for row in averages
        if "ProfilerStep" not in row.key
    ]


def short_name(name: str) -> str:
    """The functor of a kernel of ours, or the kernel without its arguments."""
    ours = re.search(r"fpg::cuda::(?:\(anonymous namespace\)::)?(\w+_kernel)", name)
    if not ours:
        return re.sub(r"<.*", "", name.removeprefix("void "))[:60]
    functor = re.search(r"_kernel<(?:\(int\)\d+, |\d+, )?(?:fpg::)?(?:cuda::)?(?:\(anonymous namespace\)::)?(\w+)", name)
    return functor.group(1) if functor else ours.group(1)


def write_csv(path: Path, result: dict[str, object]) -> None:
    fields = ["script", "case", "ratio", "low", "high", "pairs_per_second", "launches", "us", "megabytes", "share", "gpu", "torch"]
    common = {"script": "gpu_kernels", "gpu": result["gpu"], "torch": result["torch"]}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, extrasaction="ignore")
        writer.writeheader()
        writer.writerow({**common, "case": "copy bandwidth, GB/s", "ratio": result["copy_bandwidth_gb_s"]})
        for case in result["cases"]:  # type: ignore[attr-defined]
            writer.writerow({**common, **case, "case": case["name"]})
        for row in result["kernels"]:  # type: ignore[attr-defined]
            writer.writerow({**common, **row, "case": f"{row['group']}: {row['kernel']}"})


def show(result: dict[str, object]) -> None:
    print(f"{result['gpu']}, torch {result['torch']}, batches of {result['pairs']}; copy {result['copy_bandwidth_gb_s']:.0f} GB/s")
    for case in result["cases"]:  # type: ignore[attr-defined]
        event = f", {case['event_pairs_per_second']:.0f} by events" if "event_pairs_per_second" in case else ""
        print(f"  {case['name']:34s} {case['ratio']:7.1f} x  {case['pairs_per_second']:9.0f} pairs/s{event}")
    group = None
    for row in result["kernels"]:  # type: ignore[attr-defined]
        if row["group"] != group:
            group = row["group"]
            total = sum(r["us"] for r in result["kernels"] if r["group"] == group)  # type: ignore[attr-defined]
            print(f"  {group}: {total:.0f} us a batch")
        share = f"{row['megabytes']:8.1f} MB {row['share']:5.0%} of copy bandwidth" if "share" in row else ""
        print(f"    {row['kernel']:44s} {row['launches']:5.1f} x {row['us']:9.1f} us {share}")


if __name__ == "__main__":
    sys.exit(main())
