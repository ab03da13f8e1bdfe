"""Every way to run a detector against torch eager, in one run: images per second and latency by batch.

    python benchmarks/infer.py [--json] [--device cpu|cuda] [--checkpoint MODEL.safetensors] [--batches 1,8,32] [--frames]
                               [--engine MODEL] [--seconds N] [--csv FILE]

Without a checkpoint it is EfficientNet-B4 at 380 x 380 with random weights (timing does not depend on them). On the CPU: torch eager,
torch channels_last, OpenVINO and ONNX Runtime. On a GPU: torch eager float32 and bfloat16, bfloat16 in a CUDA graph, last of all compiled
with CUDA graphs (it takes long to compile), and in fp32 and fp16 ONNX Runtime, TensorRT and TensorRT for RTX, where they are installed
and run (the reason is given where not). Engines are exported by this script; `--engine` adds one that was exported before from the same
checkpoint, in INT8 say, which is compared with its own reference instead.

Each engine's answers are compared with torch's before it is timed. Images come from and answers go to the host, except where the name says
`in GPU memory`: there they stay where a pipeline that decodes on the GPU has them, and only the GPU's time counts. `--frames` begins with
decoded frames of 1280 x 720 there, a face in each, and ends with the answers on the host; against it stands the host's way from the same
frames. After `--seconds` nothing further is begun. `ratio` is torch eager's time over the engine's, the median over rounds. `share` is
floating-point operations (counted: two for each multiplication of a convolution or matrix product) over time, as a fraction of `--peak`
TFLOP/s.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from flops import flops

from fpg.common.crops import face_input
from fpg.common.errors import FpgError
from fpg.engines import load_engine, reference_difference
from fpg.engines.base import Engine, fake_probability
from fpg.engines.tensorrt import TensorRtEngine
from fpg.engines.torch import TorchEngine
from fpg.export.parity import random_images
from fpg.guidance.perception import cuda_graph
from fpg.models.detector import Detector, DetectorConfig, ExportModule, load_detector, save_detector

Call = Callable[[np.ndarray], np.ndarray]
"""Images float32 [B, 3, S, S] on the host -> probability of "fake" [B]."""
Resident = Callable[[int, int], list[float]]
"""(batch, rounds) -> seconds of each round on the GPU, images and answers in its memory."""
EAGER = "torch eager fp32"
HALF, GRAPH, COMPILED = "torch bf16 eager", "torch bf16 in a CUDA graph", "torch bf16 compiled, CUDA graphs"
FRAMES = (720, 1280)
TOLERANCE = {"fp32": 2e-3, "fp16": 1e-2, "bf16": 5e-2, "given": 1.0}
"""Largest difference of probability from torch in float32 by precision; TF32 on GPUs is allowed for. Eight bits are for faces, not for the
noise here: an engine that was given has passed its gate, and answers its sidecar's reference."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--checkpoint", type=Path, help="trained weights; default: random ones")
    parser.add_argument("--backbone", default="tf_efficientnet_b4", help="without --checkpoint")
    parser.add_argument("--size", type=int, default=380, help="without --checkpoint")
    parser.add_argument("--batches", type=lambda text: tuple(map(int, text.split(","))), help="default 1,8,32, on a GPU also 64")
    parser.add_argument("--rounds", type=int, help="default 5, on a GPU 30")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; default: torch's choice")
    parser.add_argument("--only", default="", help="engines whose name contains this, in addition to torch eager")
    parser.add_argument("--frames", action="store_true", help="also from decoded frames where the engine runs")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which nothing further is begun")
    parser.add_argument("--peak", type=float, default=0, help="TFLOP/s that the device can do, for shares")
    parser.add_argument("--engine", type=Path, action="append", default=[], help="exported from the same checkpoint; may be repeated")
    parser.add_argument("--csv", type=Path, help="also write the cases there")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    gpu = args.device == "cuda"
    batches = args.batches or ((1, 8, 32, 64) if gpu else (1, 8, 32))
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or random_detector(Path(folder), args.backbone, args.size)
        resident: dict[str, Resident] = {}
        ways, detector = engines(checkpoint, Path(folder), gpu, batches, args.only, left_out, resident)
        ways |= {path.name: (given(path, args.device), "given") for path in args.engine}
        size = detector.config.image_size
        where = next(detector.parameters()).device
        operations = flops(lambda: ExportModule(detector)(torch.rand(1, 3, size, size, device=where)))
        rounds = args.rounds or (30 if gpu else 5)
        deadline = time.monotonic() + args.seconds
        name = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} CPU threads"
        setting = {"device": name, "torch": torch.__version__, "gflop_per_image": operations / 1e9, "size": size}
        cases: list[dict[str, object]] = []
        slow = {EAGER: ways[EAGER], **{name: ways.pop(name) for name in [*ways] if name == COMPILED}}
        stages = [(ways, batch, {k: v for k, v in resident.items() if k != COMPILED}) for batch in batches]
        if len(slow) > 1:
            stages += [(slow, batch, {k: resident[k] for k in slow}) for batch in reversed(batches)]
        for chosen, batch, there in stages:
            if time.monotonic() > deadline:
                left_out |= {f"{name}, batch {batch}": "no time was left for it" for name in chosen if chosen is ways or name != EAGER}
                continue
            found = measure(chosen, batch, size, rounds, operations, args.peak, left_out)
            found += measure_resident(there, batch, rounds, operations, args.peak, left_out)
            cases += found if chosen is ways else [case for case in found if COMPILED in str(case["name"])]
            if chosen is ways and args.frames:
                cases += measure_frames(checkpoint, args.device, batch, rounds, operations, args.peak)
            if args.csv:  # after each: compiling takes minutes, and a run that is stopped keeps what it has
                write_csv(args.csv, cases, setting, left_out)
    if args.json:
        print(json.dumps({"benchmark": "infer", **setting, "cases": cases, "left_out": left_out}))
    else:
        show(cases, setting, left_out)
    return 0


def random_detector(folder: Path, backbone: str, size: int) -> Path:
    """Weights whose probabilities spread, so that a comparison means something."""
    torch.manual_seed(0)
    model = Detector(DetectorConfig(backbone=backbone, image_size=size))
    with torch.no_grad():
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0
        model(torch.from_numpy(random_images(size, 8, seed=1)))  # what the export is checked on: far from it float32 loses digits
        logits = model.eval()(torch.rand(4, 3, size, size)).logits
        model.classifier.weight.mul_(1 / (logits.std() + 1e-6))
    save_detector(folder / "model.safetensors", model)
    return folder / "model.safetensors"


def engines(
    checkpoint: Path, folder: Path, gpu: bool, batches: tuple[int, ...], only: str, left_out: dict[str, str], resident: dict[str, Resident]
) -> tuple[dict[str, tuple[Call, str]], Detector]:
    """Each way with its precision, torch eager first; what cannot be had goes to `left_out` with its reason."""
    detector, _ = load_detector(checkpoint)
    first = through(load_engine(checkpoint, device="cuda")) if gpu else on_cpu(detector)
    ways: dict[str, tuple[Call, str]] = {EAGER: (first, "fp32")}
    makers: dict[str, tuple[Callable[[], Call], str]] = {}
    if gpu:
        resident[EAGER] = torch_seconds(ExportModule(load_detector(checkpoint)[0]), torch.float32)
        makers[HALF] = (lambda: on_torch(detector, HALF, resident), "bf16")
        makers[GRAPH] = (lambda: on_torch(detector, GRAPH, resident), "bf16")
        makers[COMPILED] = (lambda: on_torch(detector, COMPILED, resident), "bf16")
        for target in ("onnx", "tensorrt", "tensorrt-rtx"):
            for precision in ("fp32", "fp16"):
                buckets = () if target == "onnx" else batches
                makers[f"{target} {precision}"] = (exported(checkpoint, folder, target, precision, "cuda", buckets, resident), precision)
    else:
        makers["torch channels_last (fpg's engine)"] = (lambda: through(load_engine(checkpoint, device="cpu")), "fp32")
        for target in ("openvino", "onnx"):
            makers[f"{target} fp32"] = (exported(checkpoint, folder, target, "fp32", "cpu", (), resident), "fp32")
    for name, (make, precision) in makers.items():
        if only not in name:
            continue
        try:
            ways[name] = (make(), precision)
        except FpgError as error:
            left_out[name] = " ".join(str(error).split())
    return ways, detector


def given(path: Path, device: str) -> Call:
    """An engine that answers as its sidecar says."""
    engine = load_engine(path, device=device)
    reference = engine.spec.reference
    if reference is None or not reference_difference(engine) <= reference["tolerance"]:
        raise SystemExit(f"{path}: does not answer as its sidecar says")
    return through(engine)


def through(engine: Engine) -> Call:
    return lambda images: fake_probability(engine(images).logits)


def exported(
    checkpoint: Path, folder: Path, target: str, precision: str, device: str, buckets: tuple[int, ...], resident: dict[str, Resident]
) -> Callable[[], Call]:
    """Export when asked to; the export's own parity check is part of it. What it needs is imported then: not every machine has it."""

    def make() -> Call:
        from fpg.export.exporter import export_detector
        from fpg.export.targets import BuildOptions

        options = BuildOptions(buckets) if buckets else None
        result = export_detector(checkpoint, target, folder / "engines", precision=precision, options=options)
        engine = load_engine(result.path, device=device)
        if isinstance(engine, TensorRtEngine):
            resident[f"{target} {precision}"] = tensorrt_seconds(engine)
        return through(engine)

    return make


def tensorrt_seconds(engine: TensorRtEngine) -> Resident:
    """The network alone, captured and launched again."""

    def seconds(batch: int, rounds: int) -> list[float]:
        with engine.cuda.current():
            slot = engine._slots_of(engine._bucket(batch))[0]
            cuda, stream = slot.cuda, slot.stream
            launch = cuda.captured(slot.compute, stream)
            taken = []
            for _ in range(rounds + 3):
                start, end = cuda.event(), cuda.event()
                cuda.record(start, stream)
                launch()
                cuda.record(end, stream)
                cuda.wait(end)
                taken.append(cuda.seconds(start, end))
        return taken[3:]

    return seconds


def torch_seconds(
    module: torch.nn.Module, dtype: torch.dtype, run: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = None
) -> Resident:
    """A module of torch on a batch that lies on the GPU."""
    module = module.eval().cuda().to(memory_format=torch.channels_last)
    call = module if run is None else run

    def seconds(batch: int, rounds: int) -> list[float]:
        size = cast(ExportModule, module).detector.config.image_size
        images = torch.rand(batch, 3, size, size, device="cuda").contiguous(memory_format=torch.channels_last)
        taken = []
        with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            for _ in range(rounds + 3):
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                call(images)
                end.record()
                end.synchronize()
                taken.append(start.elapsed_time(end) / 1e3)
        return taken[3:]

    return seconds


def on_torch(detector: Detector, way: str, resident: dict[str, Resident]) -> Call:
    """bfloat16 on the GPU, channels last."""
    module = ExportModule(detector).eval().cuda().to(memory_format=torch.channels_last)
    run = {HALF: lambda: module, GRAPH: lambda: in_graphs(module), COMPILED: lambda: torch.compile(module, mode="reduce-overhead")}[way]()
    resident[way] = torch_seconds(module, torch.bfloat16, run)

    def call(images: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(images).pin_memory().cuda(non_blocking=True).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
            logits, _ = run(tensor)
        return fake_probability(logits.float().cpu().numpy())

    return call


def in_graphs(module: torch.nn.Module) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
    """The module as it is, captured when a shape is first seen."""
    known: dict[torch.Size, tuple[torch.Tensor, Callable[[], None], tuple[torch.Tensor, ...]]] = {}

    def run(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if images.shape not in known:
            kept = images.clone()
            known[images.shape] = (kept, *cuda_graph(lambda: module(kept)))
        kept, replay, outputs = known[images.shape]
        kept.copy_(images)
        replay()
        return outputs

    return run


def on_cpu(detector: Detector) -> Call:
    """As one writes it without further thought."""
    module = ExportModule(detector).eval().cpu()

    def call(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits, _ = module(torch.from_numpy(images))
        return fake_probability(logits.numpy())

    return call


def measure(
    ways: dict[str, tuple[Call, str]],
    batch: int,
    size: int,
    rounds: int,
    operations: int,
    peak: float,
    left_out: dict[str, str],
) -> list[dict[str, object]]:
    """Each engine's answers against torch's, then all of them in turn."""
    images = np.random.default_rng(batch).random((batch, 3, size, size), dtype=np.float32)
    expected = next(iter(ways.values()))[0](images)
    alive: dict[str, Call] = {}
    for name, (call, precision) in ways.items():
        try:
            for _ in range(3):
                answer = call(images)
            difference = float(np.abs(answer - expected).max())
        except (FpgError, RuntimeError) as error:
            left_out[f"{name}, batch {batch}"] = " ".join(str(error).split())[:300]
            continue
        if not difference <= TOLERANCE[precision]:
            left_out[f"{name}, batch {batch}"] = f"answers differ from torch's by {difference:.3g}"
            continue
        alive[name] = call
    seconds = in_turn({name: functools.partial(call, images) for name, call in alive.items()}, rounds)
    return [case(f"{name}, batch {batch}", taken, seconds[EAGER], batch, operations, peak) for name, taken in seconds.items()]


def in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, one after another, in alternating order."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(rounds):
        for name in list(calls)[:: -1 if index % 2 else 1]:
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def measure_resident(
    resident: dict[str, Resident], batch: int, rounds: int, operations: int, peak: float, left_out: dict[str, str]
) -> list[dict[str, object]]:
    """The GPU's time alone."""
    seconds: dict[str, list[float]] = {}
    for name, call in resident.items():
        try:
            seconds[name] = call(batch, rounds)
        except (FpgError, RuntimeError) as error:
            left_out[f"{name}, batch {batch}, in GPU memory"] = " ".join(str(error).split())[:300]
    return [
        case(f"{name}, batch {batch}, in GPU memory", taken, seconds[EAGER], batch, operations, peak) for name, taken in seconds.items()
    ]


def measure_frames(checkpoint: Path, device: str, batch: int, rounds: int, operations: int, peak: float) -> list[dict[str, object]]:
    """From decoded frames where the engine runs to answers: faces cut there, against the host's way from the same frames."""
    engine = load_engine(checkpoint, device=device)
    assert isinstance(engine, TorchEngine)
    frames = np.random.default_rng(batch).integers(0, 256, (batch, *FRAMES, 3), np.uint8)
    boxes = [[(400.0 + i % 7, 200.0, 640.0 + i % 7, 500.0)] for i in range(batch)]
    there = torch.from_numpy(frames).to(device)

    def on_host() -> np.ndarray:
        inputs = [face_input(frame, box, engine.spec.image_size) for frame, (box,) in zip(there.cpu().numpy(), boxes, strict=True)]
        return fake_probability(engine(np.stack(inputs)).logits)

    calls = {"host": on_host, "frames": lambda: fake_probability(engine.of_frames(there, boxes).logits)}
    answers = {name: call() for name, call in calls.items() for _ in range(3)}
    if not np.abs(answers["host"] - answers["frames"]).max() <= TOLERANCE["fp32"]:
        raise SystemExit("faces that are cut out of frames on the device are judged otherwise than on the host")
    seconds = in_turn(calls, rounds)
    row = case("", seconds["frames"], seconds["host"], batch, operations, peak)
    return [row | {"name": f"frames cut on the device, torch fp32, batch {batch} vs cut on the host"}]


def case(name: str, taken: list[float], eager: list[float], batch: int, operations: int, peak: float) -> dict[str, object]:
    """One row."""
    middle = statistics.median(taken)
    p50, p95, p99 = (1e3 * float(np.percentile(taken, q)) for q in (50, 95, 99))
    speed = operations * batch / middle / 1e12
    return {
        "name": f"{name} vs torch-eager",
        "ratio": statistics.median(a / b for a, b in zip(eager, taken, strict=True)),
        "images_per_second": batch / middle,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "tflops": speed,
        "share": speed / peak if peak else None,
    }


def write_csv(path: Path, cases: list[dict[str, object]], setting: dict[str, object], left_out: dict[str, str]) -> None:
    """All cases so far, and what was left out with its reason."""
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["script", *cases[0], "left_out", *setting])
        writer.writeheader()
        writer.writerows({"script": "infer", **case, **setting} for case in cases)
        writer.writerows({"script": "infer", "name": name, "left_out": reason, **setting} for name, reason in left_out.items())
    part.replace(path)


def show(cases: list[dict[str, object]], setting: dict[str, object], left_out: dict[str, str]) -> None:
    print(", ".join(f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}" for name, value in setting.items()))
    for case in cases:
        share = f", {case['share']:.1%} of the peak" if case["share"] else ""
        latency = f"p50 {case['p50_ms']:.2f}, p95 {case['p95_ms']:.2f}, p99 {case['p99_ms']:.2f} ms"
        print(f"  {case['name']:58s} {case['ratio']:6.2f} x  {case['images_per_second']:8.1f} images/s  {latency}{share}")
    for name, reason in left_out.items():
        print(f"  left out: {name}: {reason}")


if __name__ == "__main__":
    sys.exit(main())
