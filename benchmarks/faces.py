"""How small faces may be, and what finding them costs: faces pasted at known places, pictures without a face, faces that are hard to find.

    python benchmarks/faces.py [--json] [--frames 20] [--sizes 32,40,60,80,120,200,400] [--faces DIR] [--pictures DIR] [--only recall,...]

Four parts. `recall`: faces of each size in 1080p and 4K frames, alone and six of a size together, by the default analyzer and by its
first look alone (`first look`: the whole frame and, where that shows nothing, tiles of half its side; all there was before finer tiles).
`false`: faces found in pictures that show none. `hard`: what is found of faces that are turned, covered or seen from the side. `cost`:
calls of the two networks and milliseconds per frame, with a large face, a small face and none; both analyzers in turn.

Faces are those of the sample set (`fpg.data.sample`) and, with `--faces`, of the photographs in a folder; backgrounds and pictures without
a face are scikit-image's, generated textures and, with `--pictures`, the pictures in a folder (that none shows a person is up to you). The
size of a face is the root of the area of its box (`fpg.faces.sizes`). A face counts as found where a box overlaps its own by 0.4 of their
union. Frames go through noise and JPEG (quality 85) once.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from fpg.data.sample import PEOPLE, packaged_file
from fpg.data.video import IMAGE_SUFFIXES, read_image
from fpg.faces import Face, FaceAnalyzer, default_analyzer
from fpg.faces.geometry import iou

FRAMES = {"1080p": (1920, 1080), "4K": (3840, 2160)}
FOUND = 0.4
"""Least intersection over union of a box with a pasted face's own."""
FACE_FREE = ("brick", "grass", "gravel", "coffee", "chelsea", "coins", "moon", "rocket", "page", "text", "retina", "ihc", "motorcycle_left")
Edit = Callable[[np.ndarray, np.ndarray], None]
"""Changes a patch, uint8 [P, P, 3], in place; the box of its face is given."""


class Portrait(NamedTuple):
    """A picture with one face to paste."""

    image: np.ndarray
    face: Face


class Patch(NamedTuple):
    """A head to paste."""

    pixels: np.ndarray
    """uint8 [P, P, 3]."""
    alpha: np.ndarray
    """float [P, P, 1]."""
    box: np.ndarray
    """Of the mesh, in pixels of the patch."""


def patch_of(portrait: Portrait, size: float, angle: float = 0) -> Patch:
    """A head whose face has this size, turned by `angle` degrees clockwise, with soft borders."""
    image, face = portrait
    assert face.mesh is not None
    scale = size / face.area**0.5
    x0, y0, x1, y1 = (float(v) for v in face.box)
    centre, side = ((x0 + x1) / 2, (y0 + y1) / 2 - 0.08 * (y1 - y0)), int(np.ceil(2.1 * max(x1 - x0, y1 - y0) * scale))
    fx = fy = 1.0
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        fx, fy, scale = image.shape[1] / portrait.image.shape[1], image.shape[0] / portrait.image.shape[0], 1.0
    matrix = cv2.getRotationMatrix2D((centre[0] * fx, centre[1] * fy), -angle, scale)
    matrix[:, 2] += side / 2 - np.array([centre[0] * fx, centre[1] * fy])
    pixels = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mesh = face.mesh[:, :2] * (fx, fy) @ matrix[:, :2].T + matrix[:, 2]
    across = np.abs((np.arange(side) + 0.5) / side * 2 - 1)
    distance = (across[:, None] ** 4 + across[None] ** 4) ** 0.25
    return Patch(pixels, np.clip((0.98 - distance) / 0.12, 0, 1)[..., None], np.concatenate([mesh.min(0), mesh.max(0)]))


def scene(
    background: np.ndarray, patches: Sequence[Patch], frame: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A frame (width, height) with the patches at random places without overlap, and their faces' boxes; what has no room is left out."""
    image = cover(background, frame)
    boxes: list[np.ndarray] = []
    taken: list[tuple[int, int, int]] = []
    for patch in patches:
        side = len(patch.pixels)
        for _ in range(100 if side < min(frame) else 0):
            x, y = (int(rng.integers(0, length - side)) for length in frame)
            if all(max(abs(x - u), abs(y - v)) >= max(side, other) for u, v, other in taken):
                part = image[y : y + side, x : x + side]
                part[:] = np.rint(part + (patch.pixels - part.astype(float)) * patch.alpha)
                taken.append((x, y, side))
                boxes.append(patch.box + np.array([x, y, x, y]))
                break
    noisy = np.clip(image + rng.normal(0, 2, image.shape[:2])[..., None], 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR), boxes


def cover(image: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """A copy of the image, scaled and cut to a frame (width, height)."""
    scale = max(frame[0] / image.shape[1], frame[1] / image.shape[0])
    size = [max(length, round(scale * was)) for length, was in zip(frame, image.shape[1::-1], strict=True)]
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = (size[0] - frame[0]) // 2, (size[1] - frame[1]) // 2
    return scaled[y : y + frame[1], x : x + frame[0]].copy()


def found(boxes: Sequence[np.ndarray], faces: Sequence[Face]) -> tuple[int, int]:
    """How many of the boxes were found, and how many faces are none of them."""
    overlaps = np.array([iou(box, np.stack([face.box for face in faces])) for box in boxes]) if boxes and faces else np.zeros((0, 0))
    hits = overlaps >= FOUND
    return int(hits.any(1).sum()) if hits.size else 0, len(faces) - (int(hits.any(0).sum()) if hits.size else 0)


def portraits(folder: Path | None, most: int = 200) -> list[Portrait]:
    """The sample set's people in photographs, and those of a folder's pictures with one face of at least 100 pixels."""
    analyzer = default_analyzer()
    paths = [packaged_file(person) for person in PEOPLE if not person.file.endswith(".mp4")]
    paths += sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)[: 20 * most : 20] if folder else []
    known = []
    for path in paths[: most + len(PEOPLE)]:
        image = read_image(path)
        shrink = min(1.0, 1200 / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else image
        faces = analyzer(image)
        if len(faces) == 1 and faces[0].area >= 100**2:
            known.append(Portrait(image, faces[0]))
    return known


def pictures(folder: Path | None, textures: int) -> Iterator[np.ndarray]:
    """Pictures without a face, as they are."""
    data = Path(str(importlib.metadata.distribution("scikit-image").locate_file("skimage/data")))
    for name in FACE_FREE:
        path = next(data.glob(f"{name}.*"))
        yield read_image(path)
    rng = np.random.default_rng(1)
    for number in range(textures):
        grain = 2 ** (number % 7)
        coarse = rng.integers(0, 256, (1080 // grain + 2, 1920 // grain + 2, 3), np.uint8)
        yield cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    for path in sorted(folder.rglob("*")) if folder else []:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            yield read_image(path)


class Counted:
    """The default analyzer, or its first look alone, with its networks' calls counted."""

    def __init__(self, first_look: bool = False) -> None:
        self.analyzer: FaceAnalyzer = default_analyzer(min_face=1e6) if first_look else default_analyzer()
        self.calls = [0, 0]
        for place, part in enumerate((self.analyzer.detector, self.analyzer.landmarker)):
            part._network = self._counting(part._network, place)  # type: ignore[attr-defined]

    def _counting(self, network: Callable[[np.ndarray], Any], place: int) -> Callable[[np.ndarray], Any]:
        def call(image: np.ndarray) -> Any:
            self.calls[place] += 1
            return network(image)

        return call

    def __call__(self, image: np.ndarray) -> list[Face]:
        return self.analyzer(image)


WAYS = ("default", "first look")


def recall(people: list[Portrait], backgrounds: list[np.ndarray], sizes: Sequence[int], frames: int) -> list[dict[str, Any]]:
    """Of each size, alone in its frame and six together."""
    ways = [Counted(), Counted(first_look=True)]
    rows = []
    for name, frame in FRAMES.items():
        for size in sizes:
            for together in (1, 6):
                rng = np.random.default_rng((size, together, frame[0]))
                row: dict[str, Any] = {"frame": name, "size": size, "together": together, "faces": 0, **dict.fromkeys(WAYS, 0), "false": 0}
                for number in range(frames if together == 1 else max(1, frames // 3)):
                    chosen = [patch_of(people[i], size) for i in rng.choice(len(people), together, len(people) < together)]
                    image, boxes = scene(backgrounds[number % len(backgrounds)], chosen, frame, rng)
                    row["faces"] += len(boxes)
                    for way, analyzer in zip(WAYS, ways, strict=True):
                        hits, others = found(boxes, analyzer(image))
                        row[way] += hits
                        row["false"] += others if way == "default" else 0
                rows.append(row)
    return rows


def false_faces(folder: Path | None, total: int = 200) -> dict[str, Any]:
    """Faces found in pictures without one, as 1080p frames; at least `total` of them, textures make up for what is missing."""
    analyzer, number, faces = default_analyzer(), 0, 0
    missing = total - sum(1 for _ in pictures(folder, 0))
    for image in pictures(folder, max(0, missing)):
        faces += len(analyzer(cover(image, FRAMES["1080p"])))
        number += 1
    return {"pictures": number, "false faces": faces}


def cover_part(x0: float, y0: float, x1: float, y1: float) -> Edit:
    """Covers that part of the face's box (in units of it) with a flat colour."""

    def edit(pixels: np.ndarray, box: np.ndarray) -> None:
        (left, top), (right, bottom) = (box[:2] + (box[2:] - box[:2]) * corner for corner in ((x0, y0), (x1, y1)))
        pixels[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = (70, 90, 120)

    return edit


COVERED: dict[str, Edit] = {
    "mouth and chin covered": cover_part(-0.1, 0.6, 1.1, 1.1),
    "nose to chin covered": cover_part(-0.1, 0.4, 1.1, 1.1),
    "eyes covered": cover_part(-0.1, 0.15, 1.1, 0.45),
    "left half covered": cover_part(-0.2, -0.2, 0.5, 1.2),
    "forehead and brows covered": cover_part(-0.2, -0.3, 1.2, 0.25),
}
TURNED = (0, 30, 60, 90, 135, 180)


def hard(people: list[Portrait], backgrounds: list[np.ndarray], frames: int, sizes: Sequence[int] = (60, 120)) -> list[dict[str, Any]]:
    """What is found of faces alone in a frame of 640 x 360 that are turned, covered, or seen from the side."""
    analyzer = default_analyzer()
    kinds: list[tuple[str, list[Portrait], float, Edit | None]] = [(f"turned by {angle}°", people, angle, None) for angle in TURNED]
    kinds += [(name, people, 0, edit) for name, edit in COVERED.items()]
    for low, high in ((0, 20), (20, 40), (40, 60), (60, 90)):
        seen = [p for p in people if p.face.pose and low <= abs(p.face.pose[0]) < high]
        kinds.append((f"seen {low}° to {high}° from the side", seen, 0, None))
    rows = []
    for name, able, angle, edit in kinds:
        for size in sizes:
            rng = np.random.default_rng(size)
            row = {"kind": name, "size": size, "faces": 0, "found": 0}
            for number in range(min(frames, len(able))):
                patch = patch_of(able[int(rng.integers(len(able)))], size, angle)
                if edit:
                    edit(patch.pixels, patch.box)
                image, boxes = scene(backgrounds[number % len(backgrounds)], [patch], (640, 360), rng)
                row["faces"] += len(boxes)
                row["found"] += found(boxes, analyzer(image))[0]
            rows.append(row)
    return rows


def cost(people: list[Portrait], backgrounds: list[np.ndarray], rounds: int) -> list[dict[str, Any]]:
    """Calls and milliseconds per frame of both analyzers, in turn."""
    rows = []
    for name, frame in FRAMES.items():
        for what, size in (("a face of 40 % of the height", 0.4 * frame[1]), ("a face of 60 px", 60.0), ("no face", 0.0)):
            rng = np.random.default_rng(5)
            image, _ = scene(backgrounds[0], [patch_of(people[0], size)] if size else [], frame, rng)
            ways = {way: Counted(first_look=way != "default") for way in WAYS}
            seconds: dict[str, list[float]] = {way: [] for way in WAYS}
            for turn in range(rounds + 1):
                for way, analyzer in ways.items():
                    analyzer.calls[:] = 0, 0
                    start = time.perf_counter()
                    analyzer(image)
                    seconds[way] += [time.perf_counter() - start] if turn else []
            row: dict[str, Any] = {"frame": name, "with": what}
            for way in WAYS:
                row |= {f"{way}: detector calls": ways[way].calls[0], f"{way}: mesh calls": ways[way].calls[1]}
                row |= {f"{way}: ms": round(1e3 * statistics.median(seconds[way]), 1)}
            rows.append(row)
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--frames", type=int, default=20, help="of each kind; of six faces together a third")
    parser.add_argument("--sizes", default="32,40,60,80,120,200,400", help="of faces, in pixels")
    parser.add_argument("--faces", type=Path, metavar="DIR", help="photographs with faces, in addition to the sample set's")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="pictures without a face, in addition to scikit-image's and textures")
    parser.add_argument("--rounds", type=int, default=10, help="of timing")
    parser.add_argument("--only", default="recall,false,hard,cost", help="which parts")
    args = parser.parse_args(argv)
    parts = args.only.split(",")
    cv2.setNumThreads(1)
    people = portraits(args.faces)
    grounds = list(pictures(args.pictures, 7))[-40:]
    result: dict[str, Any] = {"benchmark": "faces", "portraits": len(people)}
    if "recall" in parts:
        result["recall"] = recall(people, grounds, [int(size) for size in args.sizes.split(",")], args.frames)
    if "false" in parts:
        result["false"] = [false_faces(args.pictures)]
    if "hard" in parts:
        result["hard"] = hard(people, grounds, args.frames)
    if "cost" in parts:
        result["cost"] = cost(people, grounds, args.rounds)
    if args.json:
        print(json.dumps(result))
        return 0
    for part in (part for part in ("recall", "false", "hard", "cost") if part in result):
        print(f"\n{part}")
        print(" | ".join(result[part][0]))
        for row in result[part]:
            print(" | ".join(str(value) for value in row.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
