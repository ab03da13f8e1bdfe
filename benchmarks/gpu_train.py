"""Train as long as the time allows, and no longer, where a machine is lent for minutes: what is learnt by then is kept all along.

    python benchmarks/gpu_train.py --data FOLDER|FACES.tar --out OUT --seconds 270 [--config configs/starter.yaml] [--weights FILE]
                                   [--set model.image_size=224 --set batch=128 ...] [--device cuda] [--pairs gpu|workers]

A short run first says how fast this machine trains; then the recipe is trained for as many epochs as the rest of the time holds, with a
schedule that ends where they do. OUT/model.safetensors (16 bits, with its sidecar) is written anew with every checkpoint, once a minute;
OUT/train.csv has the steps. When time runs out all the same, the run ends as on SIGTERM: after a checkpoint.

`--pairs gpu` (default) makes pairs on the training device, which leaves out what needs filters and encoders (`augment.donor`, `retexture`,
`poisson`, `distract` and `degrade`); `workers` keeps those but the video encoders where PyAV is not there. `--weights` are first weights of
the backbone. With benchmarks/bare on PYTHONPATH no reader of videos or photographs is needed (PyAV, pillow-heif): crops are read by OpenCV.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import itertools
import json
import math
import os
import shutil
import signal
import statistics
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import av
import torch
import yaml

from fpg.common.errors import FpgError, UsageError
from fpg.models.detector import Detector, save_detector
from fpg.pairs.draws import FINISHING
from fpg.train.config import TrainConfig
from fpg.train.loop import train

ROOT = Path(__file__).resolve().parents[1]
LOSSES = ("loss", "classification", "similarity", "quality")
FIELDS = ("step", "epoch", *LOSSES, "refined", "images_per_s", "data_wait", "pairs_share", "lr", "val_auc", "val_loss")


def started() -> float:
    """When this process did, by `time.monotonic`: importing torch takes a while, and counts."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def main(argv: list[str] | None = None, began: float | None = None) -> int:
    began = time.monotonic() if began is None else began
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a prepared folder, or a tar of carry_crops.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=270.0, help="from the start of this program to its end")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "starter.yaml")
    parser.add_argument("--weights", type=Path, help="first weights of the backbone")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of TrainConfig; may be repeated")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--pairs", choices=("gpu", "workers"), default="gpu")
    parser.add_argument("--probe-steps", type=int, default=30, help="of the short run")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    deadline = began + args.seconds - 10  # to end in order
    try:
        with tempfile.TemporaryDirectory() as scratch:
            data = unpacked(args.data, Path(scratch))
            config = configured(args, data, Path(scratch))
            pace = probed(config, args.probe_steps)
            planned = plan(config, pace, deadline - time.monotonic())
            print(
                f"{pace:.3f} s a step; {planned.epochs} epochs of {planned.repeat} times the faces, {config.batch} images a step",
                flush=True,
            )
            return run(planned, args.out, deadline, pace)
    except FpgError as error:
        print(f"gpu_train.py: {error}", file=sys.stderr)
        return 1


def unpacked(data: Path, scratch: Path) -> Path:
    """The prepared folder that a tar holds."""
    if data.is_dir():
        return data
    with tarfile.open(data) as archive:
        archive.extractall(scratch / "faces", filter="data")
    return scratch / "faces"


def configured(args: argparse.Namespace, data: Path, scratch: Path) -> TrainConfig:
    """The recipe with what this machine changes."""
    values = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    here = {
        "data": [str(data)],
        "out": str(scratch / "run"),
        "tracker": "none",
        "pictures": 0,
        "workers": max(1, (os.cpu_count() or 2) - 2),
    }
    values |= here | {"device": args.device}
    if args.device != "cpu" and torch.cuda.is_available():
        values |= {"precision": "bf16", "cuda_graphs": True}
    augment = values.setdefault("augment", {})
    if args.pairs == "gpu":
        for name in FINISHING:
            augment[name] = {**augment.get(name, {}), "probability": 0.0}
    elif isinstance(av, MagicMock):  # benchmarks/bare
        augment["degrade"] = {**augment.get("degrade", {}), "video_probability": 0.0}
    if args.weights:
        values.setdefault("model", {})["pretrained"] = str(args.weights)
    for text in args.set:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--set: expected FIELD=VALUE, got {text}")
        *path, last = name.split(".")
        place = values
        for part in path:
            place = place.setdefault(part, {})
        place[last] = yaml.safe_load(value)
    config = filled(TrainConfig(out=""), values, "")
    config.check()
    return config


def filled(default: Any, values: dict[str, Any], prefix: str) -> Any:
    """A config with some fields of it, or of what lies in it, set."""
    known = {field.name for field in dataclasses.fields(default)}
    if unknown := sorted(values.keys() - known):
        raise UsageError(f"{prefix}{unknown[0]}: no such field")
    given = {}
    for name, value in values.items():
        now = getattr(default, name)
        nested = dataclasses.is_dataclass(now) and isinstance(value, dict)
        given[name] = filled(now, value, f"{prefix}{name}.") if nested else tuple(value) if isinstance(now, tuple) else value
    return dataclasses.replace(default, **given)


def probed(config: TrainConfig, steps: int) -> float:
    """Seconds of a step, of a run that is thrown away: the median of its later half."""
    out = Path(config.out).with_name("probe")
    short = dataclasses.replace(config, out=str(out), epochs=1, repeat=1, keep_top=0, checkpoint_steps=10**6)
    short = dataclasses.replace(short, optim=dataclasses.replace(short.optim, warmup_epochs=0.0))

    def watch(stop: threading.Event) -> None:
        while not stop.wait(0.2):
            if len(step_seconds(out / "log.jsonl")) >= steps:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    with watched(watch), contextlib.suppress(SystemExit):
        train(short)
    taken = step_seconds(out / "log.jsonl")
    shutil.rmtree(out)
    return statistics.median(taken[len(taken) // 2 :])


def step_seconds(log: Path) -> list[float]:
    """Of each step of an epoch: the log has images per second since its beginning."""
    ends, images = [0.0], 0
    for line in lines(log):
        if line["kind"] == "step" and line["pairs"]:
            images += 2 * line["pairs"]
            ends.append(images / line["images_per_s"])
    return [after - before for before, after in itertools.pairwise(ends)]


def lines(log: Path) -> list[dict[str, Any]]:
    """What a run has logged so far; a line that is being written is left out."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in log.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
    return found


@contextlib.contextmanager
def watched(watch: Any) -> Iterator[None]:
    """Run a function in a thread during the block, with an event that tells it to end. It may send SIGTERM, which ends a run in order."""
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(stop,), daemon=True)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # where none is under way any more
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        signal.signal(signal.SIGTERM, before)


def plan(config: TrainConfig, pace: float, seconds: float, share: float = 0.9) -> TrainConfig:
    """Epochs, at most six, that fill a fraction of the time: the rest is for validation, checkpoints and a slower hour."""
    from fpg.data.dataset import RealFaces

    faces = len(RealFaces(config.data, "train", config.frames_per_video))
    pairs = max(1.0, share * seconds / pace * config.batch / 2)
    repeat = max(1, math.floor(pairs / faces / 5))
    epochs = max(1, round(pairs / (faces * repeat)))
    return dataclasses.replace(config, repeat=repeat, epochs=epochs, checkpoint_steps=max(1, round(60 / pace)))


def run(config: TrainConfig, out: Path, deadline: float, pace: float) -> int:
    """The run, with its weights brought out at every checkpoint, and its end at the deadline."""
    folder = Path(config.out)
    last = folder / "checkpoints" / "last.pt"
    seen = 0.0

    def bring_out() -> None:
        nonlocal seen
        if last.exists() and (changed := last.stat().st_mtime) > seen:
            save(last, config, out, pace)
            seen = changed
        rows(folder / "log.jsonl", out / "train.csv")

    def watch(stop: threading.Event) -> None:
        ended = False
        while not stop.wait(5):
            bring_out()
            if not ended and time.monotonic() > deadline:
                ended = True
                os.kill(os.getpid(), signal.SIGTERM)

    how = "all epochs"
    with watched(watch):
        try:
            train(config)
        except SystemExit:
            how = "stopped by the time"
    bring_out()
    steps = sum(line["kind"] == "step" for line in lines(folder / "log.jsonl"))
    print(f"{how}: {steps} steps, {steps * config.batch // 2} pairs; {out / 'model.safetensors'}", flush=True)
    return 0


def save(checkpoint: Path, config: TrainConfig, out: Path, pace: float) -> None:
    """The weights of a checkpoint as a detector, in 16 bits."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = state["ema"]["model"] if state["ema"] else state["model"]
    model = Detector(config.model.detector())
    model.load_state_dict(weights)
    provenance = {"config": config.as_dict(), "position": state["position"], "seconds_per_step": pace, "device": torch_device()}
    save_detector(out / "model.safetensors", model.eval(), provenance=provenance, half=True)


def torch_device() -> str:
    """What trained."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def rows(log: Path, path: Path) -> None:
    """Steps and epochs as CSV."""
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["kind", *FIELDS], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(line for line in lines(log) if line["kind"] in ("step", "epoch"))
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main(began=started()))
