"""The whole way from a 720p clip to a verdict: fpg's runtime against the way the released code goes, in one run.

    python benchmarks/video.py [--json] [--clips 3] [--frames 32] [--seconds 20] [--checkpoint MODEL.safetensors]
                               [--decode whole,needed] [--device cuda] [--cpp PROGRAM] [--csv FILE]

The released way: seek to each wanted frame with OpenCV and decode it, find the face, cut it out, one call of torch in eager mode per
video. Ours: decode forward once, faces, network (OpenVINO) at the same time; from Python, and where `--cpp` names the C++ program, that
one and `fpg-detect` in turn, both started in each round. All look at the same frames with the same face networks (MediaPipe's)
and the same detector, EfficientNet-B4 at 380 x 380 with random weights unless a checkpoint is given (timing does not depend on them);
verdicts are compared before anything is timed. With `--device cuda` the detector runs on the GPU both ways, ours in torch, too. `ratio`
is the released way's time over ours, the median over rounds that run all ways one after the other.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import torch
from infer import random_detector

from fpg.common.spec import EngineSpec
from fpg.data.encode import write_video
from fpg.data.video import sample_indices
from fpg.engines import load_engine
from fpg.engines.base import fake_probability
from fpg.export.exporter import export_detector
from fpg.faces import FaceAnalyzer, default_analyzer
from fpg.faces.mediapipe import DETECTOR_FILE, model_path
from fpg.models.detector import ExportModule, load_detector
from fpg.runtime.judging import choose_faces
from fpg.runtime.pipeline import VideoDetector
from fpg.runtime.scores import video_score

RELEASED = "released way (OpenCV seek, torch eager)"
Way = Callable[[list[Path]], list[float]]
"""Clips to their scores."""


def clip_frames(seconds: int) -> Iterator[np.ndarray]:
    """A portrait that wanders over a 1280 x 720 background with fine detail, 30 frames a second."""
    portrait = cv2.imread(str(importlib.metadata.distribution("scikit-image").locate_file("skimage/data/astronaut.png")))[..., ::-1]
    background = cv2.resize(np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8), (1280, 720))
    for i in range(30 * seconds):
        image = background.copy()
        x, y = round(380 + 300 * np.sin(i / 90)), round(100 + 80 * np.cos(i / 70))
        image[y : y + 512, x : x + 512] = portrait
        yield image


def released_way(detector: torch.nn.Module, spec: EngineSpec, frames: int, analyzer: FaceAnalyzer, device: str) -> Way:
    """Seek, decode, find, cut; then all faces of a video in one call."""

    def judge(path: Path) -> float:
        capture = cv2.VideoCapture(str(path))
        faces: list[np.ndarray] = []
        owners: list[int] = []
        for index in sample_indices(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), frames):
            capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            image = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
            inputs = choose_faces(image, analyzer(image), spec).inputs
            faces += inputs
            owners += [index] * len(inputs)
        capture.release()
        with torch.no_grad():
            scores = fake_probability(detector(torch.from_numpy(np.stack(faces)).to(device))[0].cpu().numpy())
        best: dict[int, float] = {}
        for owner, score in zip(owners, scores.tolist(), strict=True):
            best[owner] = max(score, best.get(owner, 0.0))
        result = video_score(best.values())
        assert result is not None
        return result

    return lambda paths: [judge(path) for path in paths]


def program_way(command: list[str | Path], engine: Path, frames: int, threads: int) -> Way:
    """A program, started once for all clips; its start counts."""

    def judge(paths: list[Path]) -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "o.json"
            options = ["--json", str(out), "--frames", str(frames), "--threads", str(threads)]
            ended = subprocess.run([command[0], engine, *paths, *options, *command[1:]], capture_output=True, text=True)
            if ended.returncode:
                raise RuntimeError(f"{command[0]}: {ended.stderr.strip()}")
            return [result["score"] for result in json.loads(out.read_text())["results"]]

    return judge


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="of each clip")
    parser.add_argument("--frames", type=int, default=32, help="looked at per clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="trained weights; default: random ones")
    parser.add_argument("--backbone", default="tf_efficientnet_b4", help="without --checkpoint")
    parser.add_argument("--size", type=int, default=380, help="without --checkpoint")
    parser.add_argument("--decode", default="whole", help="of fpg's Python runtime (fpg-detect --decode); several with commas")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of the detector")
    parser.add_argument("--cpp", type=Path, help="the program fpg-detect-cpp")
    parser.add_argument("--csv", type=Path, help="also write the cases there")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or random_detector(Path(folder), args.backbone, args.size)
        engine = export_detector(checkpoint, "openvino", folder).path
        detector, spec = load_detector(checkpoint)
        clip = Path(folder) / "clip0.mp4"
        write_video(clip, clip_frames(args.seconds), fps=30)
        clips = [clip, *(Path(folder) / f"clip{n}.mp4" for n in range(1, args.clips))]
        for copy in clips[1:]:
            copy.write_bytes(clip.read_bytes())
        released = ExportModule(detector).eval().to(args.device)
        ways: dict[str, Way] = {
            RELEASED: released_way(released, spec, args.frames, default_analyzer(), args.device),
        }
        gpu = args.device == "cuda"
        loaded = load_engine(checkpoint, device="cuda") if gpu else load_engine(engine, threads=args.threads)
        with ExitStack() as stack:
            for decode in args.decode.split(","):
                runtime = VideoDetector(loaded, default_analyzer, frames=args.frames, highlights=0, decode=decode)
                stack.enter_context(runtime)
                name = f"fpg Python, {'torch on the GPU' if gpu else 'OpenVINO'}" + ("" if decode == "whole" else f", decoding {decode}")
                ways[name] = lambda paths, runtime=runtime: [result.score or -1.0 for result in runtime.judge_many(paths)]  # type: ignore[misc]
            if args.cpp:
                models = model_path(DETECTOR_FILE).parent
                python = Path(sys.executable).with_name("fpg-detect")
                ways["program fpg-detect, OpenVINO"] = program_way([python], engine, args.frames, args.threads)
                ways["program fpg-detect-cpp, OpenVINO"] = program_way(
                    [args.cpp, "--face-models", models], engine, args.frames, args.threads
                )
            cases = measure(ways, clips, args.rounds)
    setting = {"threads": args.threads, "seconds": args.seconds, "frames": args.frames, "clips": args.clips, "torch": torch.__version__}
    setting |= {"backbone": spec.detector["backbone"], "size": spec.image_size}
    if args.csv:
        with open(args.csv, "w", encoding="utf-8", newline="") as file:
            rows = csv.DictWriter(file, [*cases[0], *setting])
            rows.writeheader()
            rows.writerows(case | setting for case in cases)
    if args.json:
        print(json.dumps({"benchmark": "video", **setting, "cases": cases}))
        return 0
    print(f"{args.clips} clips of {args.seconds} s at 1280 x 720, {args.frames} frames of each, {args.threads} threads")
    for case in cases:
        print(f"  {case['name']:62s} {case['ratio']:5.2f} x   {case['videos_per_s']:.2f} videos/s")
    return 0


def measure(ways: dict[str, Way], clips: list[Path], rounds: int) -> list[dict[str, object]]:
    """Compare the verdicts, then time all ways in turn."""
    scores = {name: way(clips[:1]) for name, way in ways.items()}
    for name, found in scores.items():
        difference = abs(found[0] - scores[RELEASED][0])
        if difference > 0.02:  # OpenCV's decoder converts colours a little differently
            raise SystemExit(f"{name} scores {found[0]:.4f} where {RELEASED} scores {scores[RELEASED][0]:.4f}: not the same thing")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way(clips)
            seconds[name].append(time.perf_counter() - start)
    return [
        {
            "name": f"{RELEASED} / {name}",
            "ratio": statistics.median(r / o for r, o in zip(seconds[RELEASED], taken, strict=True)),
            "videos_per_s": len(clips) / statistics.median(taken),
            "released_videos_per_s": len(clips) / statistics.median(seconds[RELEASED]),
        }
        for name, taken in seconds.items()
        if name != RELEASED
    ]


if __name__ == "__main__":
    sys.exit(main())
