"""Preparing a clip of 1280 x 720 at 32 frames, on one core, against how it was done before.

    python benchmarks/prepare.py [--json] [--clip FILE ...] [--frames 32] [--rounds 5]

Before: every frame up to the last wanted one was decoded, a thread per CPU converted each wanted one to RGB, OpenCV made what the detector
looks at smaller, arrays were handed to the networks, landmarks were placed again on each face that a finer look saw a second time, tiles
were never larger than asked for, and crops were written with OpenCV's options for PNG. That a file was opened four times, not twice, is
not in it: the ratio is understated by that. Both ways give as many crops, nine in ten of them pixel for pixel (where tiles are cut
elsewhere, a face is placed a little differently), which is checked before anything is timed. Without `--clip` a clip is made: a photograph
of a face under a moving camera with grain, 300 frames of H.264 (x264's defaults, so with frames that no other refers to).
`ratio` is the earlier way's processor time over ours, the median over rounds in which both run one after another; `low` and `high` are the
quartiles. `first_look` is the same for `--looks first`, with the number of crops that it and the default give. `parts` says where our time
goes: decoding, face networks, the rest of finding faces, writing crops.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from skimage.data import astronaut

from fpg.common import area
from fpg.data import crop_files, cropping, display
from fpg.data.cropping import CropTask, prepare_one
from fpg.data.sources import survey
from fpg.data.video import read_frames
from fpg.faces import mediapipe
from fpg.faces.analyzer import LOOKS, FaceAnalyzer
from fpg.faces.geometry import iou
from fpg.faces.mediapipe import _SCALES, DETECTOR_FILE, LANDMARK_FILE, BlazeFaceDetector, FaceMeshLandmarker, TfliteNetwork
from fpg.faces.types import Detection, Face


class EarlierNetwork(TfliteNetwork):
    """Hands an array over instead of filling the network's own."""

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        if self._request is None:
            self._request = self._compile()
        divisor, offset = _SCALES[self.name]
        self._request.infer([image[None].astype(np.float32) / divisor + np.float32(offset)])
        return sorted((np.array(tensor.data) for tensor in self._request.output_tensors), key=lambda output: -output.size)


class EarlierAnalyzer(FaceAnalyzer):
    """Places landmarks on everything that a finer look sees."""

    def _with(self, image: np.ndarray, faces: list[Face], detections: list[Detection]) -> list[Face]:
        faces = list(faces)
        for detection in sorted(detections, key=lambda d: -d.score):
            face = self.landmarker.landmarks(image, detection)
            if face is not None and not any(iou(face.box, other.box)[0] > self.overlap for other in faces):
                faces.append(face)
        return faces


def make_analyzer(network: type[TfliteNetwork], analyzer: type[FaceAnalyzer], looks: str = LOOKS[0]) -> FaceAnalyzer:
    """One thread."""
    detector = BlazeFaceDetector(network=network(DETECTOR_FILE, 1))
    return analyzer(detector, FaceMeshLandmarker(network=network(LANDMARK_FILE, 1)), looks=looks)


def make_clip(path: Path, frames: int = 300) -> Path:
    """A face of some 130 pixels in 1280 x 720, seen by a camera that moves."""
    rng = np.random.default_rng(0)
    picture = cv2.copyMakeBorder(cv2.resize(astronaut(), None, fx=1.25, fy=1.25), 200, 200, 500, 500, cv2.BORDER_REFLECT_101)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for i in range(frames):
            x, y = 150 + int(80 * np.sin(i / 40)), 100 + int(40 * np.sin(i / 25))
            image = picture[y : y + 720, x : x + 1280].astype(np.float32) + rng.normal(0, 3, (720, 1280, 1))
            frame = av.VideoFrame.from_ndarray(np.clip(image, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@contextmanager
def earlier_ways() -> Iterator[None]:
    """Preparation decodes every frame, shrinks with OpenCV and writes with its options, as before."""
    before: dict[tuple[Any, str], Any] = {
        (cropping, "read_needed_frames"): read_frames,
        (display, "_ONE_THREAD"): {},
        (area, "use_native"): lambda: False,
        (crop_files, "PNG_OPTIONS"): [],
        (mediapipe, "_STRETCH"): sys.maxsize,
    }
    ours = {(module, name): getattr(module, name) for module, name in before}
    for (module, name), value in before.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in ours.items():
            setattr(module, name, value)


def prepared(clip: Path, analyzer: FaceAnalyzer, frames: int) -> tuple[float, list[int]]:
    """Seconds of the processor, and the checksums of the crops' pixels."""
    (source,) = survey(clip).require()
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        record, rows = prepare_one(CropTask(source, 0), Path(folder), analyzer, frames=frames, threads=1)
        seconds = time.process_time() - started
        crops = [zlib.crc32(crop_files.read_crop(Path(folder), row)) for row in rows]
    if not rows:
        raise SystemExit(f"{clip}: {record.status} {record.reason}: nothing to compare")
    return seconds, crops


def measure(clip: Path, frames: int, rounds: int) -> dict[str, Any]:
    """One case."""
    ours, earlier = make_analyzer(TfliteNetwork, FaceAnalyzer), make_analyzer(EarlierNetwork, EarlierAnalyzer)
    first_look = make_analyzer(TfliteNetwork, FaceAnalyzer, "first")

    def before() -> tuple[float, list[int]]:
        with earlier_ways():
            return prepared(clip, earlier, frames)

    crops, fewer = prepared(clip, ours, frames)[1], prepared(clip, first_look, frames)[1]
    earlier_crops = before()[1]  # and all are warm
    if len(earlier_crops) != len(crops) or len({*earlier_crops} & {*crops}) < 0.9 * len(crops):
        raise SystemExit(f"{clip}: the two ways give different crops")
    times = np.array([(before()[0], prepared(clip, ours, frames)[0], prepared(clip, first_look, frames)[0]) for _ in range(rounds)])
    low, ratio, high = np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75)).tolist()
    before_s, now_s, first_look_s = np.median(times, 0).tolist()
    return {
        "name": f"earlier preparation, {clip.name}, {frames} frames",
        "ratio": ratio,
        "low": low,
        "high": high,
        "before_s": before_s,
        "now_s": now_s,
        "first_look": {
            "ratio": float(np.median(times[:, 0] / times[:, 2])),
            "now_s": first_look_s,
            "crops": len(fewer),
            "default_crops": len(crops),
        },
        "parts": parts(clip, ours, frames),
    }


def parts(clip: Path, analyzer: FaceAnalyzer, frames: int) -> dict[str, float]:
    """Seconds of the processor by part, in one more pass."""
    spent: defaultdict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **options)
            finally:
                spent[name] += time.process_time() - started

        return run

    detector, landmarker, write = analyzer.detector, analyzer.landmarker, cropping.write_crop
    networks = (detector._network, landmarker._network)  # type: ignore[attr-defined]
    detector._network, landmarker._network = (timed("networks", network) for network in networks)  # type: ignore[attr-defined]
    cropping.write_crop = timed("crops", write)
    find = timed("faces", analyzer)
    try:
        whole, _ = prepared(clip, find, frames)  # type: ignore[arg-type]
    finally:
        detector._network, landmarker._network = networks  # type: ignore[attr-defined]
        cropping.write_crop = write
    faces = spent["faces"] - spent["networks"]
    return {"networks": spent["networks"], "faces": faces, "crops": spent["crops"], "decoding": whole - spent["faces"] - spent["crops"]}


def main() -> int:
    """Entry point."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--json", action="store_true")
    p.add_argument("--clip", nargs="+", type=Path, default=[])
    p.add_argument("--frames", type=int, default=32)
    p.add_argument("--rounds", type=int, default=5)
    a = p.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        clips = a.clip or [make_clip(Path(folder) / "made-720p.mp4")]
        cases = [measure(clip, a.frames, a.rounds) for clip in clips]
    if a.json:
        print(json.dumps({"benchmark": "prepare", "machine": platform.processor() or platform.machine(), "cases": cases}, indent=2))
        return 0
    for case in cases:
        share = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in case["parts"].items())
        print(f"{case['name']}: {case['before_s']:.2f} s before, {case['now_s']:.2f} s now, ratio {case['ratio']:.2f}")
        print(f"  quartiles {case['low']:.2f} to {case['high']:.2f}; now: {share}")
        look = case["first_look"]
        print(f"  --looks first: {look['now_s']:.2f} s, ratio {look['ratio']:.2f}, {look['crops']} crops of {look['default_crops']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
