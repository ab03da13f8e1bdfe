"""Reading faces as fpg stores them against reading them out of whole frames, as folders of frames do.

    python benchmarks/storage.py [--json] [--faces 24] [--sizes 100 140 180 240] [--rounds 7]

A photograph of a face, scaled to so many pixels of face width, stands in a frame of 1280 x 720. The alternatives read the whole frame's
PNG, written as their preparation scripts write it (`cv2.imwrite` with its defaults), and cut the same region out: with OpenCV (what SBI and
DeepfakeBench do), and with Pillow. Ours is what training does: the manifest's row, the crop's file, its size and its checksum. Files are
visited in a random order and are in the page cache, so that decoding is timed and not a disk; `bytes` says how many times smaller the
crops are, which a disk sees. Every picture is compared with the frame's region before anything is timed.

`ratio` is the alternative's time over ours, the median over rounds in which all run one after another; `low` and `high` are the quartiles.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from skimage.data import astronaut

from fpg.common.crops import context_crop
from fpg.data.dataset import RealFaces
from fpg.data.prepare import prepare
from fpg.faces.types import Face

HEIGHT, WIDTH = 720, 1280
FACE = (172, 64, 278, 180)
"""Box of the astronaut's face in her picture of 512 x 512, found by fpg's own models."""

Region = tuple[int, int, int, int]


class KnownFace:
    """Gives the face that was put into the frame: an ellipse of 81 landmarks in its box."""

    def __init__(self, box: np.ndarray) -> None:
        angle = np.linspace(0, 2 * np.pi, 81, endpoint=False)
        unit = np.stack([np.cos(angle), np.sin(angle)], 1)
        self.face = Face(box, 1.0, ((box[:2] + box[2:]) / 2 + unit * (box[2:] - box[:2]) / 2).astype(np.float32))

    def __call__(self, image: np.ndarray) -> list[Face]:
        return [self.face]


def make_frame(face: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame, uint8 [720, 1280, 3] RGB, and the box of a face of so many pixels' width; the photograph is mirrored at its borders."""
    scale = face / (FACE[2] - FACE[0])
    picture = cv2.resize(astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    centre = (np.array(FACE[:2]) + FACE[2:]) * scale / 2
    left, top = (max(0, round(half - at)) for half, at in zip((WIDTH / 2, HEIGHT / 2), centre, strict=True))
    down, right = max(0, HEIGHT - top - len(picture)), max(0, WIDTH - left - picture.shape[1])
    frame = cv2.copyMakeBorder(picture, top, down, left, right, cv2.BORDER_REFLECT_101)[:HEIGHT, :WIDTH]
    return np.ascontiguousarray(frame), np.float32(np.array(FACE) * scale + np.tile([left, top], 2))


def prepare_files(root: Path, face: int, count: int) -> tuple[RealFaces, list[Path], Region]:
    """Frames and the data set that fpg-prepare makes of them; frames differ by a little noise, as those of a video do."""
    frame, box = make_frame(face)
    rng = np.random.default_rng(0)
    (root / "frames").mkdir(parents=True)
    paths = [root / "frames" / f"{index:03d}.png" for index in range(count)]
    for path in paths:
        noisy = np.clip(frame + rng.normal(0, 1, frame.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(path), noisy[..., ::-1])
    analyzer = KnownFace(box)
    prepare(root / "frames", root / "out", frames=count, workers=0, label=0, split="train", analyzer=lambda: analyzer, quiet=True)
    faces = RealFaces([root / "out"], "train", frames_per_video=count)
    assert analyzer.face.landmarks is not None
    y0, y1, x0, x1 = context_crop(analyzer.face.landmarks, HEIGHT, WIDTH)
    return faces, paths, (y0, y1, x0, x1)


def read_opencv(path: Path, region: Region) -> np.ndarray:
    """A region of a whole frame, uint8 [h, w, 3] RGB."""
    y0, y1, x0, x1 = region
    image = cv2.imread(str(path))
    assert image is not None
    return cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_BGR2RGB)


def read_pillow(path: Path, region: Region) -> np.ndarray:
    """A region of a whole frame, uint8 [h, w, 3] RGB."""
    y0, y1, x0, x1 = region
    return np.asarray(Image.open(path).convert("RGB"))[y0:y1, x0:x1]


def seconds(run: Callable[[int], Any], order: list[int]) -> float:
    """Of one pass in this order."""
    start = time.perf_counter()
    for index in order:
        run(index)
    return time.perf_counter() - start


def measure(face: int, count: int, rounds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The cases of one face size, and what it means on disk."""
    with tempfile.TemporaryDirectory() as folder:
        faces, paths, region = prepare_files(Path(folder), face, count)
        runs: dict[str, Callable[[int], Any]] = {
            "opencv": lambda i: read_opencv(paths[i], region),
            "pillow": lambda i: read_pillow(paths[i], region),
        }
        for name, run in runs.items():
            for index in range(count):
                np.testing.assert_array_equal(faces.image(index), run(index), err_msg=name)
        times: dict[str, list[float]] = {name: [] for name in ("ours", *runs)}
        for seed in range(rounds):
            order = np.random.default_rng(seed).permutation(count).tolist()
            for name, run in {"ours": faces.image, **runs}.items():
                times[name].append(seconds(run, order) / count)
        crops = [entry.path for entry in faces.entries]
        height, width = region[1] - region[0], region[3] - region[2]
        disk = {"face": face, "crop": [height, width], "ours_ms": 1e3 * statistics.median(times["ours"])}
        disk["bytes"] = sum(p.stat().st_size for p in paths) / sum(p.stat().st_size for p in crops)
    return [_case(f"face {face}, crop {width} x {height} vs whole frame, {name}", times[name], times["ours"]) for name in runs], disk


def _case(name: str, alternative: list[float], ours: list[float]) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(alternative, ours, strict=True)]
    low, middle, high = np.percentile(ratios, (25, 50, 75)).tolist()
    return {"name": name, "ratio": middle, "low": low, "high": high, "ms": 1e3 * statistics.median(alternative)}


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--faces", type=int, default=24, help="files (default: %(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 140, 180, 240], help="face widths in pixels (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    cases, disks = [], []
    for size in options.sizes:
        found, disk = measure(size, options.faces, options.rounds)
        cases += found
        disks.append(disk)
    if options.json:
        machine = {"cpu": platform.processor() or platform.machine(), "opencv": cv2.__version__}
        print(json.dumps({"cases": cases, "crops": disks, "machine": machine, "faces": options.faces, "rounds": options.rounds}))
        return 0
    for case in cases:
        print(f"{case['name']:<55} {case['ratio']:6.2f} x ({case['low']:.2f} to {case['high']:.2f}), {case['ms']:6.2f} ms")
    for disk in disks:
        print(f"face {disk['face']}: ours {disk['ours_ms']:.2f} ms, {disk['bytes']:.1f} times smaller on disk")
    return 0


if __name__ == "__main__":
    sys.exit(main())
