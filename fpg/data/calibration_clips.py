"""Clips to calibrate a detector on: photographs of people it was not trained on, moving and compressed, and the same with another's face.

`python -m fpg.data.calibration_clips PREPARED OUT --split test` reads the photographs of a split of a folder that `fpg-prepare` made, and
writes, the same bytes each time,

- `OUT/real/NAME.mp4`: each photograph under a moving virtual camera, with sensor noise, at the sizes and rates of `fpg.data.as_video`;
- `OUT/fake/METHOD/NAME.mp4`: the same frames forged by one of the `--tools`, encoded alike.

`swap` (`fpg.data.faceswap`; METHOD is feather or poisson, by turns) puts the face of another of these people there: landmarks, triangles,
colour transfer, feathered or Poisson blending. `reenact` (`fpg.data.reenact`) leaves the face its own and moves it to another's expression
by warping: it has nothing in common with what blends, so that a detector which has learnt no more than fpg's way of blending does not gain
by it. With several tools people are forged by each in turn. Training on self-blended pairs shows neither.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from fpg.common.console import console, progress
from fpg.common.errors import FpgError, InputError
from fpg.common.rng import stream
from fpg.data.as_video import VideoConfig, draw_clip, moving, shrunk
from fpg.data.encode import write_video
from fpg.data.faceswap import Blend, Donor, swap_face
from fpg.data.images import IMAGE_SUFFIXES, read_image
from fpg.data.manifest import REAL, read_manifest
from fpg.data.reenact import misfit, reenact_face
from fpg.faces import Face, FaceAnalyzer, default_analyzer

FRAMES = 12
FPS = 25.0
Tool = Literal["swap", "reenact"]
TOOLS: tuple[Tool, ...] = get_args(Tool)
_BLENDS: tuple[Blend, ...] = ("feather", "poisson")
_DRIVERS = 8
"""People among whom the one is chosen whose expression a face gets: the one who looks the same way."""


@dataclass(frozen=True)
class Photograph:
    """A photograph with its largest face, which has 81 landmarks."""

    name: str
    image: np.ndarray
    face: Face


def make_clips(prepared: Path, out: Path, split: str, *, tools: Sequence[Tool] = ("swap",), frames: int = FRAMES, seed: int = 0) -> int:
    """Write a real and a forged clip of every photograph of a split; see the module.

    Args:
        prepared: by fpg-prepare; its photographs are read again where they lay.
        out: folder to write into.
        split: whose photographs.
        tools: what forges, by turns.
        frames: of each clip.
        seed: of all draws.

    Returns:
        How many pairs of clips were written; photographs without a face are left out.

    Raises:
        InputError: a manifest or a photograph that cannot be read, or fewer than two faces.
    """
    analyzer = default_analyzer()
    people = photographed(prepared, split, analyzer)
    order = stream(seed, "donors").permutation(len(people))
    others = {int(order[i]): [people[int(order[i - k])] for k in range(1, min(_DRIVERS, len(order) - 1) + 1)] for i in range(len(order))}
    with progress("Clips") as bar:
        task = bar.add_task("people", total=len(people))
        for index, person in enumerate(people):
            turn, tool = index // len(tools), tools[index % len(tools)]
            forge = _reenacting(person, others[index]) if tool == "reenact" else _swapping(others[index][0], _BLENDS[turn % 2])
            _write(person, forge, out, frames, seed, analyzer)
            bar.advance(task)
    return len(people)


def photographed(prepared: Path, split: str, analyzer: FaceAnalyzer, most: int | None = None) -> list[Photograph]:
    """The photographs of real faces of a split, as `make_clips` reads them.

    Args:
        prepared, split: as of `make_clips`.
        analyzer: finds the faces.
        most: photographs with a face after which no more are read; None reads all.

    Raises:
        InputError: a photograph that cannot be read, or fewer than two faces.
    """
    videos = read_manifest(prepared).videos
    paths = [Path(v.source) for v in videos if v.split == split and v.label == REAL and Path(v.source).suffix.lower() in IMAGE_SUFFIXES]
    people = []
    for path in sorted(paths):
        image = read_image(path)
        faces = analyzer(image)
        if faces and faces[0].landmarks is not None:
            people.append(Photograph(path.stem, image, faces[0]))
        if len(people) == most:
            break
    if len(people) < 2:
        raise InputError(prepared, f"holds {len(people)} photographs of real faces in split {split}; swapping needs two")
    return people


@dataclass(frozen=True)
class _Forging:
    """How the frames of one clip are forged."""

    method: str
    """Names the folder."""
    change: Callable[[np.ndarray, Face, float], np.ndarray]
    """Forges one frame: its image, its face, and when it is in the clip, from 0 to 1."""


def _swapping(other: Photograph, blend: Blend) -> _Forging:
    donor = _donor(other)
    return _Forging(blend, lambda image, face, _: swap_face(image, face, donor, blend))


def _reenacting(person: Photograph, others: Sequence[Photograph]) -> _Forging:
    def apart(other: Photograph) -> float:
        return misfit(_donor(person).landmarks, _donor(other).landmarks)

    driver = _donor(min(others, key=apart))

    def change(image: np.ndarray, face: Face, when: float) -> np.ndarray:
        return reenact_face(image, face, driver, 0.75 - 0.25 * math.cos(2 * math.pi * when))  # the expression comes and goes

    return _Forging("reenact", change)


def _donor(person: Photograph) -> Donor:
    assert person.face.landmarks is not None
    return Donor(person.image, person.face.landmarks)


def _write(person: Photograph, forging: _Forging, out: Path, frames: int, seed: int, analyzer: FaceAnalyzer) -> None:
    params = draw_clip(stream(seed, "calibration", person.name), VideoConfig(length=frames))
    width = float(person.face.box[2] - person.face.box[0])
    real = list(moving(shrunk(person.image, width, params), params, frames))
    fake = []
    for index, frame in enumerate(real):
        faces = [face for face in analyzer(frame) if face.landmarks is not None and face.landmarks.shape == (81, 2)]
        fake.append(forging.change(frame, faces[0], index / max(1, frames - 1)) if faces else frame)
    if all((a == b).all() for a, b in zip(real, fake, strict=True)):
        return  # no face was found in any frame
    write_video(out / "real" / f"{person.name}.mp4", real, fps=FPS, crf=params.crf)
    write_video(out / "fake" / forging.method / f"{person.name}.mp4", fake, fps=FPS, crf=params.crf)


def main(argv: list[str] | None = None) -> int:
    """`python -m fpg.data.calibration_clips`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fpg.data.calibration_clips", description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path, help="folder that fpg-prepare made of photographs")
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--split", default="test", help="whose photographs (default: %(default)s)")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=["swap"], help="what forges, by turns (default: swap)")
    options = parser.parse_args(argv)
    try:
        count = make_clips(options.prepared, options.out, options.split, tools=options.tools)
    except FpgError as error:
        console.print(f"error: {error}", markup=False)
        return 1
    console.print(f"{count} people: a real and a forged clip of each in {options.out}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
