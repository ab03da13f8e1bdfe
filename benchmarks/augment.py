"""Making self-blended pairs end to end: `fpg.pairs.SelfBlend` against the usual pipelines, one CPU thread each.

    python benchmarks/augment.py [--json] [--crops 460x576,300x360] [--pairs 16] [--rounds 15] [--rival albumentations|none]

From uint8 context crops of the same faces (height x width), landmarks and boxes to forgery, real, source and mask, float32 380 x 380,
draws included. `albumentations` is METHOD section 2 as published code has it (`alternatives/pairs/pipeline.py`), in a second environment
with pinned versions that is made on the first run; `opencv` is `fpg.pairs.make_pair`, face after face. With a GPU and kornia, `SelfBlend`
on the GPU is compared with `alternatives/pairs/kornia_pairs.py` there; otherwise that case is left out and the reason is given.

Each round makes `--pairs` pairs one way and then the other. `ratio` is the alternative's time over ours, the median over rounds; `low`
and `high` are the quartiles. Outputs of every side are checked before anything is timed.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from alternatives.pairs.environment import ONE_THREAD, Rival, RivalError

os.environ.update(ONE_THREAD)

import cv2
import numpy as np
import torch
from alternatives.pairs.faces import Faces, faces

from fpg.ops.backend import backend
from fpg.pairs import SelfBlend, draw_pair, make_pair

SIZE = 380
BATCH = 16
WARM_UP = 2
"""Rounds before those that count."""
REACH = 48
"""Pixels of 380 within which JPEG and the resize let a blend be seen outside its mask."""

Chunk = Callable[[int], float]
"""Makes that many pairs and answers the seconds it took."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--crops", type=_crops, default="460x576,300x360", help="height x width of context crops, comma-separated")
    parser.add_argument("--pairs", type=int, default=BATCH, help="made one way before the other way has its turn")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rival", choices=("albumentations", "none"), default="albumentations", help="none needs no second environment")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    cases: list[dict[str, object]] = []
    stages: dict[str, dict[str, float]] = {}
    versions = {"torch": torch.__version__, "opencv": cv2.__version__, "numpy": np.__version__}
    left_out = [] if args.rival == "albumentations" else [{"name": "vs albumentations", "reason": "--rival none"}]
    try:
        with Rival() if args.rival == "albumentations" else nullcontext() as rival:
            for height, width in args.crops:
                material, crop = faces(height, width, BATCH), f"pair {height}x{width}"
                ours = self_blend(material)
                others = {"opencv": one_by_one(material)}
                if rival is not None:
                    others["albumentations"], versions["rival"] = albumentations(rival, material)
                cases += measure(crop, ours, others, args.pairs, args.rounds)
                stages[crop] = shares(material)
                missing = gpu_reason()
                if missing:
                    left_out.append({"name": f"{crop} vs kornia on the GPU", "reason": missing})
                else:
                    cases += measure(crop, *on_gpu(material), args.pairs, args.rounds)
    except RivalError as error:
        print(f"augment.py: {error}", file=sys.stderr)
        return 1
    if args.json:
        setting = {"size": SIZE, "batch": BATCH, "threads": 1, "backend": backend("cpu"), "machine": platform.machine()}
        result = {"benchmark": "augment", **setting, "versions": versions, "cases": cases, "stages": stages, "left_out": left_out}
        print(json.dumps(result))
    else:
        show(cases, stages, left_out)
    return 0


def _crops(text: str) -> list[tuple[int, int]]:
    try:
        crops = [tuple(int(side) for side in crop.split("x")) for crop in text.split(",")]
        return [(height, width) for height, width in crops if height > 0 and width > 0]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, comma-separated, got {text}") from None


def self_blend(material: Faces, device: str = "cpu") -> Chunk:
    """`SelfBlend`, batches of 16."""
    blend, rng = SelfBlend(size=SIZE, device=device), np.random.default_rng(1)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    check(f"fpg on {device}", [t.cpu().numpy() for t in blend(*material, rng)])

    def chunk(pairs: int) -> float:
        start = time.perf_counter()
        for first in range(0, pairs, BATCH):
            blend(*(part[: min(BATCH, pairs - first)] for part in material), rng)
        wait()
        return time.perf_counter() - start

    return chunk


def one_by_one(material: Faces) -> Chunk:
    """`make_pair`, which is OpenCV and NumPy."""
    rng = np.random.default_rng(2)
    people = list(zip(*material, strict=True))
    checked = [make_pair(*face, draw_pair(rng), size=SIZE) for face in people[:8]]
    check("opencv", [torch.cat([getattr(pair, name) for pair in checked]).numpy() for name in ("fake", "real", "source", "mask")])

    def chunk(pairs: int) -> float:
        start = time.perf_counter()
        for i in range(pairs):
            make_pair(*people[i % len(people)], draw_pair(rng), size=SIZE)
        return time.perf_counter() - start

    return chunk


def albumentations(rival: Rival, material: Faces) -> tuple[Chunk, dict[str, str]]:
    """The pipeline in the second environment, which measures its own time; and its versions."""
    with tempfile.TemporaryDirectory() as folder:
        load, save = str(Path(folder, "faces.npz")), str(Path(folder, "pairs.npz"))
        images = {f"image{i}": image for i, image in enumerate(material.images)}
        np.savez(load, landmarks=np.stack(material.landmarks), boxes=np.stack(material.boxes), **images)  # type: ignore[arg-type]
        versions = rival.ask(load=load, size=SIZE)["versions"]
        rival.ask(save=save, pairs=8)
        with np.load(save) as data:
            check("albumentations", [data[name] for name in ("fake", "real", "source", "mask")])
    return lambda pairs: rival.ask(pairs=pairs)["seconds"], versions


def gpu_reason() -> str | None:
    """Why there is no comparison on a GPU, None if there is."""
    if not torch.cuda.is_available():
        return "no CUDA GPU"
    try:
        import kornia  # noqa: F401
    except ImportError:
        return "kornia is not installed (pip install kornia)"
    return None


def on_gpu(material: Faces) -> tuple[Chunk, dict[str, Chunk]]:
    """`SelfBlend` on the GPU, and kornia there."""
    from alternatives.pairs.kornia_pairs import Pairs

    pairs_of = Pairs(SIZE, "cuda")
    check("kornia", [t.cpu().numpy() for t in pairs_of(*material)])

    def chunk(pairs: int) -> float:
        start = time.perf_counter()
        for first in range(0, pairs, BATCH):
            pairs_of(*(part[: min(BATCH, pairs - first)] for part in material))
        torch.cuda.synchronize()
        return time.perf_counter() - start

    return self_blend(material, "cuda"), {"kornia on the GPU": chunk}


def check(name: str, pairs: list[np.ndarray]) -> None:
    """Forgery, real, source and mask of N pairs are what they should be, or AssertionError."""
    fake, real, source, mask = pairs
    count = len(fake)

    def require(ok: bool, what: str) -> None:
        if not ok:
            raise AssertionError(f"{name}: {what}")

    for part, channels in ((fake, 3), (real, 3), (source, 3), (mask, 1)):
        require(part.shape == (count, channels, SIZE, SIZE) and part.dtype == np.float32, f"got {part.dtype} {part.shape}")
        require(bool(np.isfinite(part).all() and part.min() >= 0 and part.max() <= 1), "values outside [0, 1]")
    require(bool((mask.reshape(count, -1).max(1) > 0.2).all()), "an empty mask")
    error = np.abs(fake - mask * source - (1 - mask) * real).mean((1, 2, 3))
    require(bool((error < 0.02).all()), f"a forgery that is no blend, mean difference {error.max():.3f}")
    kernel = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    outside = np.stack([cv2.dilate((m[0] > 0).astype(np.uint8), kernel) == 0 for m in mask])
    require(bool(outside.any()), "masks that leave nothing outside")
    seen = np.abs(fake - real).max(1)[outside].max()
    require(bool(seen < 1e-6), f"forgery and real differ by {seen:.4f} far outside the mask")


def measure(crop: str, ours: Chunk, others: dict[str, Chunk], pairs: int, rounds: int) -> list[dict[str, object]]:
    """Chunk against chunk in turn."""
    cases = []
    for name, other in others.items():
        seconds = [(other(pairs), ours(pairs)) for _ in range(WARM_UP + rounds)][WARM_UP:]
        ratios = [theirs / mine for theirs, mine in seconds]
        low, middle, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
        ms, ours_ms = (1e3 * statistics.median(column) / pairs for column in zip(*seconds, strict=True))
        cases.append({"name": f"{crop} vs {name}", "ratio": middle, "low": low, "high": high, "ms": ms, "ours_ms": ours_ms})
    return cases


def shares(material: Faces, batches: int = 10) -> dict[str, float]:
    """Fraction of each compiled operation in the time of `SelfBlend`, by Python's profiler; `python` is everything around them."""
    blend, rng = SelfBlend(size=SIZE), np.random.default_rng(3)
    blend(*material, rng)
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(batches):
        blend(*material, rng)
    profile.disable()
    stats = pstats.Stats(profile)
    total = stats.total_tt  # type: ignore[attr-defined]
    compiled = {name: spent for (_, _, name), (_, _, spent, _, _) in stats.stats.items() if "fpg._C." in name}  # type: ignore[attr-defined]
    result = {name.split("fpg._C.")[1].rstrip(">"): spent / total for name, spent in compiled.items()}
    result["python"] = 1 - sum(result.values())
    return {name: round(fraction, 3) for name, fraction in sorted(result.items(), key=lambda item: -item[1])}


def show(cases: list[dict[str, object]], stages: dict[str, dict[str, float]], left_out: list[dict[str, str]]) -> None:
    print(f"self-blended pairs to {SIZE} x {SIZE}, crops as height x width, one thread, per pair; backend {backend('cpu')}")
    for case in cases:
        spread = f"({case['low']:.1f} to {case['high']:.1f}; {case['ms']:.2f} ms, ours {case['ours_ms']:.2f} ms)"
        print(f"  {case['name']:34s} {case['ratio']:6.1f} x  {spread}")
    for crop, spent in stages.items():
        print(f"  {crop}, fractions of ours: " + ", ".join(f"{name} {fraction:.0%}" for name, fraction in spent.items()))
    for case in left_out:
        print(f"  left out: {case['name']}: {case['reason']}")


if __name__ == "__main__":
    sys.exit(main())
