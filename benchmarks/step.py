"""What guidance costs: a guided training step against a plain one, and against the guided step as it was first released.

    python benchmarks/step.py [--json] [--backbone NAME --size 224 --batch 32] [--rounds N] [--device cuda] [--compile | --graphs] [--sam]

One run measures, one after another in every round: a plain step (forward, losses, backward, AdamW), fpg's guided step with the coin of
the magnitude step on and off, and the released step (all its passes, host copies, NumPy loop; see `alternatives/released_step.py`).
`ratio` is the median over the rounds of the quotient in the case's name, with fpg's step the mean of both sides of the coin; `low` and
`high` are the quartiles. The quality network runs apart from all of them; on a GPU, where fpg runs it in bfloat16, a further case adds
it to both sides, in float32 to the released one. `--sam` adds the step of SBI with sharpness-aware minimisation. Half of the forgeries
are refined in shape, by construction and the same ones in both implementations, whose results are compared before anything is timed.
Weights are random.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from alternatives.released_step import Plain, released_step
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from fpg.guidance import guide
from fpg.guidance.config import GuidanceConfig
from fpg.guidance.draws import GuidanceDraws, draw_guidance
from fpg.guidance.guide import Refined, refine
from fpg.guidance.losses import LossConfig, loss_sums
from fpg.guidance.perception import GraphedPerception, Perception
from fpg.guidance.quality import AnalyticQuality, FiqaQuality
from fpg.models.config import DetectorConfig
from fpg.models.detector import Detector
from fpg.models.fiqa import Fiqa
from fpg.ops.backend import backend
from fpg.pairs import Pairs
from fpg.train.sam import ascended
from fpg.train.setup import compile_parts

SETTINGS = {
    "cpu": (("tf_efficientnet_b0", 224, 16, 9), ("tf_efficientnet_b4", 380, 8, 4)),
    "cuda": (("tf_efficientnet_b4", 380, 64, 8),),
}
"""By device: backbone, image size, images of a batch, rounds."""
PRECISION = {"cpu": "fp32", "cuda": "bf16"}
SAM_RHO = 0.05
PARTS = ("perception", "feathering", "magnitude gradient", "refinement", "step")


@dataclass
class Subject:
    """One network with its optimiser and one batch, on the device."""

    model: Detector
    optimizer: torch.optim.Optimizer
    pairs: Pairs
    draws: dict[bool, GuidanceDraws]
    """By coin."""
    quality: Tensor
    config: GuidanceConfig
    losses: LossConfig
    autocast: Callable[[], contextlib.AbstractContextManager[Any]]
    device: torch.device
    perception: Perception

    def differentiate(self, pairs: Pairs, losses: LossConfig) -> None:
        """Forward, losses, backward."""
        self.model.train()
        torch.manual_seed(0)
        with self.autocast():
            output = self.model(pairs.images())
        total = loss_sums(output, pairs.mask, self.quality, losses.class_weights).means(losses).total
        assert total is not None
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()

    def learn(self, pairs: Pairs) -> None:
        """And AdamW: a plain step, and what follows guidance in a guided one."""
        self.differentiate(pairs, self.losses)
        self.optimizer.step()

    def sam(self) -> None:
        """The step of SBI with SAM: classification alone, twice."""
        losses = replace(self.losses, similarity=0.0, quality=0.0)
        self.differentiate(self.pairs, losses)
        with ascended(self.model, SAM_RHO):
            self.differentiate(self.pairs, losses)
        self.optimizer.step()

    def plain(self) -> None:
        self.learn(self.pairs)

    def guided(self, coin: bool) -> Refined:
        with self.autocast():
            refined = refine(self.model, self.pairs, self.draws[coin], self.config, self.perception)
        self.learn(refined.pairs)
        return refined

    def released(self, coin: bool) -> Plain:
        with self.autocast():
            return released_step(self.model, self.pairs, self.draws[coin], self.quality, self.config, self.losses, self.optimizer)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def make_pairs(count: int, size: int) -> Pairs:
    """Smooth random faces, soft discs as masks, a little noise as JPEG leaves it."""
    coarse = torch.rand(2, count, 3, 9, 9)
    real, source = (F.interpolate(x, size=(size, size), mode="bicubic").clamp(0, 1) for x in coarse)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    radius = torch.rand(count, 1, 1, 1) * 0.3 + 0.5
    mask = (8 * (1 - (x**2 + y**2).sqrt() / radius)).clamp(0, 1)
    fake = (mask * source + (1 - mask) * real + 0.01 * torch.randn_like(real)).clamp(0, 1)
    return Pairs(fake, real, source, mask)


def make_subject(backbone: str, size: int, batch: int, device: torch.device, precision: str) -> Subject:
    """A network with random weights and settled statistics; draws that refine every second forgery."""
    count = batch // 2
    torch.manual_seed(0)
    pairs = make_pairs(count, size)
    model = Detector(DetectorConfig(backbone=backbone, image_size=size)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    pairs = pairs.map(lambda tensor: tensor.to(device, memory_format=layout))
    _settle(model, pairs.images())
    fused = device.type == "cuda" or None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2, fused=fused)
    config = GuidanceConfig(threshold=1.0, certainty=0.0)
    drawn = replace(draw_guidance(0, 0, 0, range(count), config), refine_u=np.arange(count) % 2 * 1.0)
    draws = {coin: replace(drawn, step_coin=coin) for coin in (True, False)}
    enabled = precision == "bf16"

    def autocast() -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)

    quality = torch.linspace(0, 2, 2 * count, device=device)
    return Subject(model, optimizer, pairs, draws, quality, config, LossConfig(), autocast, device, Perception(model))


@torch.no_grad()
def _settle(model: torch.nn.Module, images: Tensor) -> None:
    """Running statistics of these images: with those of a new network activations shrink to denormal numbers, which are slow."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def check(subject: Subject, precision: str) -> int:
    """Both implementations refine the same forgeries to the same images; how many in shape."""
    state = {name: value.clone() for name, value in subject.model.state_dict().items()}
    with subject.autocast():
        ours = refine(subject.model, subject.pairs, subject.draws[True], subject.config, subject.perception)
        other = released_step(subject.model, subject.pairs, subject.draws[True], subject.quality, subject.config, subject.losses)
    subject.model.load_state_dict(state)
    count = int(ours.refined.sum())
    if not count:
        raise RuntimeError("no forgery is refined in shape; nothing that is timed would mean anything")
    if precision == "fp32":
        assert ours.refined.tolist() == other.refined
        agreeing = (ours.direction.cpu() == torch.tensor(other.direction)).float().mean()
        assert agreeing >= 0.5, "the magnitude gradients disagree"
        different = (ours.pairs.fake - other.fake).abs().flatten(1).amax(1).median()
        assert different < 2e-2, f"the refined forgeries differ by {different}"
    return count


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
    """Share of each part in a guided step, both sides of the coin averaged; sums to 1."""
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


class Flops(TorchDispatchMode):
    """Adds up convolutions and matrix products with the formulas of torch's flop counter, but for the backward pass of convolutions.

    torch counts the gradient of a depthwise convolution's weights once per group too often; and `FlopCounterMode` follows modules with
    hooks that refuse `autograd.grad` to what goes into a module, which is how guidance perceives.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket is torch.ops.aten.convolution_backward:
            gradient, _, weight, *_, (to_input, to_weight, _) = args
            self.total += 2 * gradient.numel() * weight[0].numel() * (to_input + to_weight)
        elif func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def flops(call: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products, two for a multiplication with an addition.

    Counted where the host is fast enough to look at every operation: on a CPU. The number is the same on every device.
    """
    with Flops() as counter:
        call()
    return counter.total


def case(name: str, ratios: list[float], **more: Any) -> dict[str, Any]:
    """The median quotient with its quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return {"name": name, "ratio": middle, "low": low, "high": high, **more}


def measure(backbone: str, size: int, batch: int, rounds: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The cases of one backbone."""
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = args.cudnn_benchmark
    subject = make_subject(backbone, size, batch, device, args.precision)
    count = check(subject, args.precision)
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
    if args.compile:
        compile_parts(subject.model, device)
    if args.graphs:
        subject.perception = GraphedPerception(subject.model)
    for call in {**calls, **apart}.values():
        call()
        call()
    seconds = time_rounds(subject, {**calls, **apart}, rounds)
    ours = [(on + off) / 2 for on, off in zip(seconds["on"], seconds["off"], strict=True)]
    ms = {name: 1e3 * statistics.median(values) for name, values in seconds.items()}

    def over(one: list[float], other: list[float]) -> list[float]:
        return [a / b for a, b in zip(one, other, strict=True)]

    label = f"{backbone} at {size}" + (", compiled" if args.compile else ", perception as CUDA graphs" if args.graphs else "")
    cases = [
        case(
            f"fpg / plain, {label}",
            over(ours, seconds["plain"]),
            ms=1e3 * statistics.median(ours),
            plain_ms=ms["plain"],
            coin_on=statistics.median(over(seconds["on"], seconds["plain"])),
            coin_off=statistics.median(over(seconds["off"], seconds["plain"])),
            shares=shares(subject, rounds),
            batch=batch,
            refined_in_shape=count,
        ),
        case(
            f"released / ours, {label}",
            over(seconds["released"], ours),
            ms=ms["released"],
            ours_ms=1e3 * statistics.median(ours),
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
        sam = case(f"sbi-sam / fpg, {label}", over(seconds["sam"], ours), ms=ms["sam"], ours_ms=1e3 * statistics.median(ours), batch=batch)
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
        lines.append(f"  {entry['name']:50s} {entry['ratio']:5.2f}  ({entry['low']:.2f} to {entry['high']:.2f}; {entry['ms']:.0f} ms)")
        if "shares" in entry:
            lines[-1] = lines[-1][:-1] + f", plain {entry['plain_ms']:.0f} ms)"
            lines.append(
                f"    coin on {entry['coin_on']:.2f}, off {entry['coin_off']:.2f}; {entry['refined_in_shape']} forgeries refined in shape"
            )
            lines.append("    share of the step: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in entry["shares"].items()))
        if "flop_ratio" in entry:
            lines.append(f"    by floating-point operations {entry['flop_ratio']:.2f} ({entry['gflops']:.0f} GFLOP)")
        if "analytic_ms" in entry:
            lines.append(f"    the analytic measure instead of the network: {entry['analytic_ms']:.1f} ms")
    return "\n".join(lines)


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
    parser.add_argument("--graphs", action="store_true", help="perception as CUDA graphs, as fpg-train --cuda_graphs has it")
    parser.add_argument("--compile", action="store_true", help="with torch.compile, as fpg-train --compile has it (minutes)")
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
    cases = []
    for backbone, size, batch, rounds in chosen:
        found = measure(backbone, size, batch, args.rounds or rounds, args)
        cases += found
        if not args.json:
            print(f"{backbone}, {batch} images of {size} x {size}, {', '.join(f'{k} {v}' for k, v in setting.items())}")
            print(table(found))
    if args.csv:
        with args.csv.open("w", newline="") as file:
            fields = ["script", "name", "ratio", "low", "high", "ms", "ours_ms", "plain_ms", "coin_on", "coin_off", "flop_ratio", "batch"]
            writer = csv.DictWriter(file, [*fields, *setting], extrasaction="ignore")
            writer.writeheader()
            writer.writerows({"script": "step", **entry, **setting} for entry in cases)
    if args.json:
        print(json.dumps({"benchmark": "step", **setting, "cases": cases}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
