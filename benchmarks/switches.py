"""What each switch of fpg-train does to the time of a training step, one switched at a time against the defaults.

    python benchmarks/switches.py [--json] [--backbone tf_efficientnet_b0] [--size 224] [--batch 16] [--rounds 7] [--compile]

The step is fpg-train's own (guidance, losses, backward, AdamW; the quality network apart), with its defaults: float32, channels_last,
fused AdamW. `ratio` is the time of the plain defaults over that with the switch, the median over rounds in which all run one after
another, the magnitude step taken in every second round; above 1 the switch makes a step faster. `low` and `high` are the quartiles.
Compilation takes minutes and is measured only when asked for. Weights are random.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

import torch
from step_subject import make_pairs

from fpg.guidance.draws import draw_guidance
from fpg.train.config import ModelConfig, TrainConfig
from fpg.train.distributed import ALONE
from fpg.train.pairs import Batch
from fpg.train.setup import build_learner
from fpg.train.step import train_step


def switched(config: TrainConfig, device: torch.device, compiled: bool) -> dict[str, TrainConfig]:
    """The defaults, and each switch on its own."""
    configs = {
        "defaults": config,
        "channels_last off": replace(config, channels_last=False),
        "optim.fused off": replace(config, optim=replace(config.optim, fused=False)),
        "precision bf16": replace(config, precision="bf16"),
        "accumulate 2": replace(config, accumulate=2),
        "ema 0.999": replace(config, ema=0.999),
        "deterministic": replace(config, deterministic=True),
    }
    if device.type == "cuda":
        configs["precision fp16"] = replace(config, precision="fp16")
    if compiled:
        configs["compile"] = replace(config, compile=True)
    return configs


def make_batch(count: int, size: int, device: torch.device) -> Batch:
    """Random pairs as the loop gets them."""
    torch.manual_seed(0)
    pairs = make_pairs(count, size)
    images = pairs.map(lambda tensor: tensor.to(device))
    return Batch(list(range(count)), torch.zeros(count, 3), torch.full((count,), 200.0), [], images)


def coins(config: TrainConfig) -> dict[bool, int]:
    """A step of this seed for either side of the magnitude step's coin."""
    found: dict[bool, int] = {}
    for step in range(64):
        found.setdefault(draw_guidance(config.seed, 0, step, [0], config.guidance).step_coin, step)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--backbone", default="tf_efficientnet_b0")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=16, help="images: half real, half forgeries")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    model = ModelConfig(backbone=args.backbone, image_size=args.size, pretrained=False)
    config = TrainConfig(out="unused", data=["unused"], batch=args.batch, model=model)
    sides = coins(config)
    batch = make_batch(args.batch // 2, args.size, device)
    configs = switched(config, device, args.compile)
    learners = {name: build_learner(chosen, device, ALONE) for name, chosen in configs.items()}

    def step(name: str, coin: bool) -> float:
        chosen, learner = configs[name], learners[name]
        torch.use_deterministic_algorithms(chosen.deterministic)
        start = time.perf_counter()
        result = train_step(learner, None, batch, chosen, 0, sides[coin], None)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        assert result.updated
        return time.perf_counter() - start

    seconds: dict[str, list[float]] = {name: [] for name in configs}
    for index in range(args.rounds + 2):
        for name in configs:
            taken = step(name, bool(index % 2))
            if index >= 2:
                seconds[name].append(taken)
    cases: list[dict[str, Any]] = []
    for name in list(configs)[1:]:
        ratios = [plain / other for plain, other in zip(seconds["defaults"], seconds[name], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        times = {"ms": 1e3 * statistics.median(seconds["defaults"]), "ours_ms": 1e3 * statistics.median(seconds[name])}
        cases.append(
            {"name": f"plain defaults / {name}, {args.backbone} at {args.size}", "ratio": middle, "low": low, "high": high, **times}
        )
    setting = {
        "batch": args.batch,
        "threads": args.threads,
        "device": str(device),
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    if args.json:
        print(json.dumps({"benchmark": "switches", **setting, "cases": cases}))
        return 0
    print(f"switches of a training step, {args.batch} images, {args.threads} threads, {device}, torch {torch.__version__}")
    for case in cases:
        spread = f"{case['low']:.2f} to {case['high']:.2f}; {case['ms']:.0f} ms, switched {case['ours_ms']:.0f} ms"
        print(f"  {case['name']:56s} {case['ratio']:5.2f} x  ({spread})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
