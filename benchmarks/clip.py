"""A whole clip with frames that never leave the GPU: decoded, cut and judged there, against the ways over the host, in one run.

    python benchmarks/clip.py prepare FOLDER [--seconds 10]                  clip.mp4, and clip.json with where its faces are
    python benchmarks/clip.py measure FOLDER [--checkpoint MODEL.safetensors] [--device cuda] [--rounds 5] [--csv FILE]

Preparing needs all of fpg; measuring needs torch, OpenCV and, for a GPU's decoder, torchcodec or PyNvVideoCodec: faces are known
beforehand, since the networks that find them run on the host (`benchmarks/video.py` measures with them). All ways look at the same
frames, and their scores are compared before anything is timed. `ratio` is the time of OpenCV on the host over that of the way in the name,
the median over rounds. The detector is the starter unless a checkpoint is given.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from fpg.common.crops import face_input
from fpg.engines import load_engine
from fpg.engines.base import fake_probability
from fpg.engines.torch import TorchEngine

STARTER = Path(__file__).resolve().parents[1] / "fpg" / "weights" / "starter" / "starter.safetensors"
ON_HOST = "OpenCV on the host, faces cut there"
Boxes = list[list[list[float]]]
Decoder = Callable[[Path, list[int], str], Tensor]
"""Clip, wanted frames and device to uint8 [N, H, W, 3] RGB, on the device for those that decode there."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("prepare", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=10, help="of the clip that is prepared")
    parser.add_argument("--checkpoint", type=Path, default=STARTER)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path, help="also write the cases there")
    args = parser.parse_args(argv)
    if args.command == "prepare":
        prepare(args.folder, args.seconds)
        return 0
    rows = measure(args.folder, args.checkpoint, args.device, args.rounds)
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["script", "name", "ratio", "ms", "frames", "device", "left_out"])
            writer.writeheader()
            writer.writerows({"script": "clip", **row} for row in rows)
    for row in rows:
        print(f"  {row['name']:60s} " + (row.get("left_out") or f"{row['ratio']:5.2f} x   {row['ms']:.1f} ms"))
    return 0


def prepare(folder: Path, seconds: int) -> None:
    """Make the clip and find its faces, the one that counts most in each of 32 frames."""
    from video import clip_frames

    from fpg.data.encode import write_video
    from fpg.data.video import map_frames
    from fpg.faces import default_analyzer

    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / "clip.mp4"
    write_video(clip, clip_frames(seconds), fps=30)
    analyzer = default_analyzer()

    def look(index: int, time_s: float, image: np.ndarray) -> dict[str, Any]:
        boxes = [[float(v) for v in face.box] for face in analyzer(image)]
        return {"index": index, "boxes": sorted(boxes, key=lambda b: (b[0] - b[2]) * (b[3] - b[1]))[:1]}

    found = map_frames(clip, 32, look)
    (folder / "clip.json").write_text(json.dumps(found), encoding="utf-8")
    print(
        f"{clip}: {sum(bool(frame['boxes']) for frame in found)} of {len(found)} frames with a face, {clip.stat().st_size / 2**20:.1f} MiB"
    )


def opencv(path: Path, wanted: list[int], device: str) -> Tensor:
    """Forward and once, on the host."""
    capture, frames = cv2.VideoCapture(str(path)), []
    for index in range(wanted[-1] + 1):
        if not capture.grab():
            raise RuntimeError(f"{path}: ends after {index} frames")
        if index == wanted[len(frames)]:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return torch.from_numpy(np.stack(frames))


def torchcodec(path: Path, wanted: list[int], device: str) -> Tensor:
    """Its decoder of the device."""
    from torchcodec.decoders import VideoDecoder

    frames: Tensor = VideoDecoder(str(path), dimension_order="NHWC", device=device).get_frames_at(wanted).data
    return frames


def pynvvideocodec(path: Path, wanted: list[int], device: str) -> Tensor:
    """NVIDIA's own, which brings FFmpeg's libraries with it."""
    import PyNvVideoCodec as nvc

    if device != "cuda":
        raise RuntimeError("decodes on a GPU only")
    decoder = nvc.SimpleDecoder(str(path), gpu_id=0, use_device_memory=True, output_color_type=nvc.OutputColorType.RGB)
    return torch.stack([torch.from_dlpack(frame).clone() for frame in decoder.get_batch_frames_by_index(wanted)])


def measure(folder: Path, checkpoint: Path, device: str, rounds: int) -> list[dict[str, Any]]:
    """The cases; a way that cannot be gone here is one with its reason."""
    clip, found = folder / "clip.mp4", json.loads((folder / "clip.json").read_text(encoding="utf-8"))
    wanted, boxes = [frame["index"] for frame in found], [frame["boxes"] for frame in found]
    engine = load_engine(checkpoint, device=device)
    assert isinstance(engine, TorchEngine)

    def over_host(decode: Decoder) -> float:
        frames = decode(clip, wanted, device).cpu().numpy()
        inputs = [face_input(frame, box, engine.spec.image_size) for frame, of in zip(frames, boxes, strict=True) for box in of]
        return float(fake_probability(engine(np.stack(inputs)).logits).mean())

    def stay(decode: Decoder) -> float:
        return float(fake_probability(engine.of_frames(decode(clip, wanted, device).to(device), boxes).logits).mean())

    ways: dict[str, Callable[[], float]] = {
        ON_HOST: lambda: over_host(opencv),
        "OpenCV on the host, faces cut on the device": lambda: stay(opencv),
    }
    for decode in (torchcodec, pynvvideocodec):
        name = f"{decode.__name__} on the {device}"
        ways |= {f"{name}, faces cut on the host": lambda d=decode: over_host(d), f"{name}, all stays there": lambda d=decode: stay(d)}  # type: ignore[misc]
    rows: list[dict[str, Any]] = []
    alive: dict[str, Callable[[], float]] = {}
    expected = ways[ON_HOST]()
    for name, way in ways.items():
        try:
            difference = max(abs(way() - expected) for _ in range(2))
            if not difference <= 0.05:  # decoders convert colours a little differently
                raise RuntimeError(f"scores otherwise by {difference:.3f}")
            alive[name] = way
        except Exception as error:  # packages and drivers fail in their own ways
            rows.append({"name": name, "left_out": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", "device": device})
    seconds: dict[str, list[float]] = {name: [] for name in alive}
    for _ in range(rounds):
        for name, way in alive.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    timed = [
        {
            "name": name,
            "ratio": statistics.median(a / b for a, b in zip(seconds[ON_HOST], taken, strict=True)),
            "ms": 1e3 * statistics.median(taken),
            "frames": len(wanted),
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        }
        for name, taken in seconds.items()
    ]
    return timed + rows


if __name__ == "__main__":
    sys.exit(main())
