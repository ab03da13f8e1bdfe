"""What guidance costs: a guided training step against a plain one, and against the guided step as it was first released.

    python benchmarks/step.py [--json] [--backbone NAME --size 224 --batch 32] [--rounds N] [--device cuda] [--graphs] [--compile] [--sam]

One run measures, one after another in every round: a plain step (forward, losses, backward, AdamW), fpg's guided step with the coin of
the magnitude step on and off, and the released step (all its passes, host copies, NumPy loop; see `alternatives/released_step.py`).
`ratio` is the median over the rounds of the quotient in the case's name, with fpg's step the mean of both sides of the coin; `low` and
`high` are the quartiles. The quality network runs apart from all of them; on a GPU, where fpg runs it in bfloat16, a further case adds
it to both sides, in float32 to the released one. `--sam` adds the step of SBI with sharpness-aware minimisation. Half of the forgeries
are refined in shape, by construction and the same ones in both implementations, whose results are compared before anything is timed.
`--graphs` and `--compile` measure both steps again with perception in CUDA graphs, compiled, and both; `--seconds` says when no further
way is begun, and `--csv` has what is done at any time. Weights are random.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from flops import flops
from step_subject import Subject, check, make_subject

from fpg.common.errors import FpgError
from fpg.guidance import guide
from fpg.guidance.guide import refine
from fpg.guidance.perception import GraphedPerception, Perception
from fpg.guidance.quality import AnalyticQuality, FiqaQuality
from fpg.models.fiqa import Fiqa
from fpg.ops.backend import backend
from fpg.train.setup import compile_parts

SETTINGS = {
    "cpu": (("tf_efficientnet_b0", 224, 16, 9), ("tf_efficientnet_b4", 380, 8, 4)),
    "cuda": (("tf_efficientnet_b4", 380, 64, 8),),
}
"""By device: backbone, image size, images of a batch, rounds."""
PRECISION = {"cpu": "fp32", "cuda": "bf16"}
EAGER, COMPILED_GRAPHS = "as written", "compiled, perception as CUDA graphs"
PARTS = ("perception", "feathering", "magnitude gradient", "refinement", "step")


def time_rounds(subject: Subject, calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, one after another, in alternating order; each has run before (see `flops`)."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(rounds):
        for name in list(calls)[:: -1 if index % 2 else 1]:
            subject.wait()
            start = time.perf_counter()
            calls[name]()
            subject.wait()
            seconds[name].append(time.perf_counter() - start)
    return seconds


@contextlib.contextmanager
def watched(subject: Subject, seconds: dict[str, float]) -> Iterator[None]:
    """While open, the parts of `refine` add their seconds to `seconds`."""

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            subject.wait()
            start = time.perf_counter()
            result = call(*args, **options)
            subject.wait()
            seconds[name] += time.perf_counter() - start
            return result

        return wrapper

    perception = subject.perception
    subject.perception = Perception(subject.model)
    vars(subject.perception).update(
        response_map=timed("perception", perception.response_map), input_gradient=timed("magnitude gradient", perception.input_gradient)
    )
    originals = {name: getattr(guide, name) for name in ("kernel_feathering", "opencv_feathering")}
    for name in originals:
        setattr(guide, name, lambda *args, make=originals[name], **options: timed("feathering", make(*args, **options)))
    try:
        yield
    finally:
        subject.perception = perception
        for name, original in originals.items():
            setattr(guide, name, original)


def shares(subject: Subject, rounds: int) -> dict[str, float]:
    """Fraction of each part in a guided step, both sides of the coin averaged; sums to 1."""
    seconds = dict.fromkeys(PARTS, 0.0)
    with watched(subject, seconds):
        for _ in range(max(1, rounds // 2)):
            for coin in (True, False):
                before = sum(seconds[name] for name in PARTS[:3])
                start = time.perf_counter()
                with subject.autocast():
                    refined = refine(subject.model, subject.pairs, subject.draws[coin], subject.config, subject.perception)
                subject.wait()
                middle = time.perf_counter()
                subject.learn(refined.pairs)
                subject.wait()
                seconds["refinement"] += middle - start - (sum(seconds[name] for name in PARTS[:3]) - before)
                seconds["step"] += time.perf_counter() - middle
    whole = sum(seconds.values())
    return {name: value / whole for name, value in seconds.items()}


def case(name: str, ratios: list[float], **more: Any) -> dict[str, Any]:
    """The median quotient with its quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return {"name": name, "ratio": middle, "low": low, "high": high, **more}


def ways(args: argparse.Namespace) -> tuple[str, ...]:
    """How both steps are taken, one after the other: as they are written, and as the options say."""
    asked = (("perception as CUDA graphs", args.graphs), ("compiled", args.compile), (COMPILED_GRAPHS, args.graphs and args.compile))
    return (EAGER, *(name for name, wanted in asked if wanted))


def measure(backbone: str, size: int, batch: int, rounds: int, args: argparse.Namespace, deadline: float) -> Iterator[list[dict[str, Any]]]:
    """The cases of one backbone, way by way; a way that fails, or for which there is no time, is a case without a ratio."""
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = args.cudnn_benchmark
    subject = make_subject(backbone, size, batch, device, args.precision)
    count = check(subject, args.precision)
    label = f"{backbone} at {size}"
    yield measure_eager(subject, label, batch, rounds, count, args)
    for way in ways(args)[1:]:
        try:
            if time.monotonic() > deadline:
                raise TimeoutError("no time was left for it")
            yield measure_way(subject, way, label, batch, rounds)
        except (FpgError, RuntimeError, TimeoutError) as error:  # a compiler, or a capture, that does not work here
            yield [{"name": f"fpg / plain, {label}, {way}", "left_out": " ".join(str(error).split())[:300]}]


def measure_way(subject: Subject, way: str, label: str, batch: int, rounds: int) -> list[dict[str, Any]]:
    """Plain and guided steps in another way; the network stays compiled once it is."""
    if "compiled" in way and "last_block" not in vars(subject.model):
        compile_parts(subject.model, subject.device)
    subject.perception = (GraphedPerception if "graphs" in way else Perception)(subject.model)
    calls: dict[str, Callable[[], object]] = {
        "plain": subject.plain,
        "on": lambda: subject.guided(True),
        "off": lambda: subject.guided(False),
    }
    for call in calls.values():
        call()
        call()
    seconds = time_rounds(subject, calls, rounds)
    return [guided_case(f"{label}, {way}", seconds, batch=batch)]


def guided_case(label: str, seconds: dict[str, list[float]], **more: Any) -> dict[str, Any]:
    """fpg / plain, with the coin on, off and on average."""
    ours = [(on + off) / 2 for on, off in zip(seconds["on"], seconds["off"], strict=True)]
    return case(
        f"fpg / plain, {label}",
        over(ours, seconds["plain"]),
        ms=1e3 * statistics.median(ours),
        plain_ms=1e3 * statistics.median(seconds["plain"]),
        coin_on=statistics.median(over(seconds["on"], seconds["plain"])),
        coin_off=statistics.median(over(seconds["off"], seconds["plain"])),
        **more,
    )


def over(one: list[float], other: list[float]) -> list[float]:
    """The quotients, round by round."""
    return [a / b for a, b in zip(one, other, strict=True)]


def measure_eager(subject: Subject, label: str, batch: int, rounds: int, count: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The steps as they are written, the released one, and the quality network apart."""
    device = subject.device
    fiqa = FiqaQuality(Fiqa().eval().to(device))
    calls: dict[str, Callable[[], object]] = {
        "plain": subject.plain,
        "on": lambda: subject.guided(True),
        "off": lambda: subject.guided(False),
        "released": lambda: subject.released(True),
    }
    images = subject.pairs.images()
    analytic = AnalyticQuality()
    apart = {} if args.no_quality else {"network": lambda: fiqa(images), "analytic": lambda: analytic(images)}
    if args.sam:
        calls["sam"] = subject.sam
    counted = {} if device.type == "cuda" else {name: flops(call) for name, call in {**calls, **apart}.items()}
    if device.type == "cuda" and apart:
        whole = FiqaQuality(Fiqa().eval().to(device), precision="fp32")
        apart["network fp32"] = lambda: whole(images)
    for call in {**calls, **apart}.values():
        call()
        call()
    seconds = time_rounds(subject, {**calls, **apart}, rounds)
    ours = [(on + off) / 2 for on, off in zip(seconds["on"], seconds["off"], strict=True)]
    ms = {name: 1e3 * statistics.median(values) for name, values in seconds.items()}
    ours_ms = 1e3 * statistics.median(ours)
    cases = [
        guided_case(label, seconds, shares=shares(subject, rounds), batch=batch, refined_in_shape=count),
        case(
            f"released / ours, {label}",
            over(seconds["released"], ours),
            ms=ms["released"],
            ours_ms=ours_ms,
            batch=batch,
            refined_in_shape=count,
        ),
    ]
    if counted:
        ours_flops = (counted["on"] + counted["off"]) / 2
        cases[0] |= {"gflops": ours_flops / 1e9, "plain_gflops": counted["plain"] / 1e9, "flop_ratio": ours_flops / counted["plain"]}
        cases[1] |= {"gflops": counted["released"] / 1e9, "flop_ratio": counted["released"] / ours_flops}
    if apart:
        network = case(f"quality network / fpg step, {label}", over(seconds["network"], ours), ms=ms["network"], analytic_ms=ms["analytic"])
        cases.append(network | ({"gflops": counted["network"] / 1e9} if counted else {}))
    if "network fp32" in seconds:
        theirs = [a + b for a, b in zip(seconds["released"], seconds["network fp32"], strict=True)]
        mine = [a + b for a, b in zip(ours, seconds["network"], strict=True)]
        times = {"ms": 1e3 * statistics.median(theirs), "ours_ms": 1e3 * statistics.median(mine)}
        cases.append(case(f"released / ours, each with its quality network, {label}", over(theirs, mine), **times, batch=batch))
    if args.sam:
        sam = case(f"sbi-sam / fpg, {label}", over(seconds["sam"], ours), ms=ms["sam"], ours_ms=ours_ms, batch=batch)
        cases.append(sam | ({"gflops": counted["sam"] / 1e9} if counted else {}))
    if args.profile:
        args.profile.write_text(profile(subject), encoding="utf-8")
    return cases


def profile(subject: Subject) -> str:
    """What the device does longest in a guided step with the coin on, as torch's profiler tells it, and what keeps the host."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if subject.device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as trace:
        for _ in range(3):
            subject.guided(True)
        subject.wait()
    orders = ["self_cpu_time_total"] + (["self_device_time_total"] if subject.device.type == "cuda" else [])
    tables = (trace.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=70) for order in reversed(orders))
    return "\n".join(tables)


def table(cases: list[dict[str, Any]]) -> str:
    """The cases for people."""
    lines = []
    for entry in cases:
        if "left_out" in entry:
            lines.append(f"  {entry['name']:50s} not measured: {entry['left_out']}")
            continue
        lines.append(f"  {entry['name']:50s} {entry['ratio']:5.2f}  ({entry['low']:.2f} to {entry['high']:.2f}; {entry['ms']:.0f} ms)")
        if "shares" in entry:
            lines[-1] = lines[-1][:-1] + f", plain {entry['plain_ms']:.0f} ms)"
            shaped = f"; {entry['refined_in_shape']} forgeries refined in shape"
            lines.append(f"    coin on {entry['coin_on']:.2f}, off {entry['coin_off']:.2f}{shaped}")
            lines.append(
                "    fraction of the step: " + ", ".join(f"{name} {100 * fraction:.1f} %" for name, fraction in entry["shares"].items())
            )
        if "flop_ratio" in entry:
            lines.append(f"    by floating-point operations {entry['flop_ratio']:.2f} ({entry['gflops']:.0f} GFLOP)")
        if "analytic_ms" in entry:
            lines.append(f"    the analytic measure instead of the network: {entry['analytic_ms']:.1f} ms")
    return "\n".join(lines)


def write_csv(path: Path, cases: list[dict[str, Any]], setting: dict[str, Any]) -> None:
    """All cases so far, in a file that is whole at any time."""
    fields = [
        "script",
        "name",
        "ratio",
        "low",
        "high",
        "ms",
        "ours_ms",
        "plain_ms",
        "coin_on",
        "coin_off",
        "flop_ratio",
        "batch",
        "left_out",
    ]
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*fields, *setting], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({"script": "step", **entry, **setting} for entry in cases)
    part.replace(path)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--backbone", help="a timm model; default: " + ", ".join(f"{s[0]} at {s[1]}" for s in SETTINGS["cpu"]))
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels (with --backbone)")
    parser.add_argument("--batch", type=int, default=8, help="images of a batch, half of them forgeries (with --backbone)")
    parser.add_argument("--rounds", type=int, help="rounds of everything; default: " + ", ".join(str(s[3]) for s in SETTINGS["cpu"]))
    parser.add_argument("--threads", type=int, help="threads of torch; default: torch's choice")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="default: fp32 on a CPU, bf16 on a GPU")
    parser.add_argument("--graphs", action="store_true", help="also perception as CUDA graphs, as fpg-train --cuda_graphs has it")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile, as fpg-train --compile has it (minutes)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after which no further way of taking the steps is begun")
    parser.add_argument("--cudnn-benchmark", action="store_true", help="let cuDNN try its algorithms first, as fpg-train does (minutes)")
    parser.add_argument("--sam", action="store_true", help="also time the step of SBI with SAM")
    parser.add_argument("--csv", type=Path, help="also write the cases there")
    parser.add_argument("--profile", type=Path, help="write what a guided step spends its time on there")
    parser.add_argument("--no-quality", action="store_true", help="leave the quality network out")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(torch.get_num_threads())
    kind = torch.device(args.device).type
    args.precision = args.precision or PRECISION[kind]
    chosen = [(args.backbone, args.size, args.batch, args.rounds or 5)] if args.backbone else SETTINGS[kind]

    setting = {
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "precision": args.precision,
        "backend": backend(args.device),
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    cases: list[dict[str, Any]] = []
    deadline = time.monotonic() + args.seconds
    for backbone, size, batch, rounds in chosen:
        if not args.json:
            print(f"{backbone}, {batch} images of {size} x {size}, {', '.join(f'{k} {v}' for k, v in setting.items())}", flush=True)
        for found in measure(backbone, size, batch, args.rounds or rounds, args, deadline):
            cases += found
            if not args.json:
                print(table(found), flush=True)
            if args.csv:
                write_csv(args.csv, cases, setting)
    if args.json:
        print(json.dumps({"benchmark": "step", **setting, "cases": cases}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
