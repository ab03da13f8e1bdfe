"""Clips to calibrate a detector on: photographs of people it was not trained on, moving and compressed, and the same with another's face.

`python -m fpg.data.calibration_clips PREPARED OUT --split test` reads the photographs of a split of a folder that `fpg-prepare` made, and
writes, the same bytes each time,

- `OUT/real/NAME.mp4`: each photograph under a moving virtual camera, with sensor noise, at the sizes and rates of `fpg.data.as_video`;
- `OUT/fake/METHOD/NAME.mp4`: the same frames with the face of another of these people swapped in by `fpg.data.faceswap`, encoded alike.

The swaps are classical ones (landmarks, triangles, colour transfer, feathered or Poisson blending) of another person's face: a kind of
forgery that training on self-blended pairs never shows. Temperature and threshold of the starter detector are fitted on such clips.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpg.common.console import console, progress
from fpg.common.errors import FpgError, InputError
from fpg.common.rng import stream
from fpg.data.as_video import VideoConfig, draw_clip, moving, shrunk
from fpg.data.encode import write_video
from fpg.data.faceswap import Blend, Donor, swap_face
from fpg.data.images import IMAGE_SUFFIXES, read_image
from fpg.data.manifest import REAL, read_manifest
from fpg.faces import Face, FaceAnalyzer, default_analyzer

FRAMES = 12
FPS = 25.0
_BLENDS: tuple[Blend, ...] = ("feather", "poisson")


@dataclass(frozen=True)
class Photograph:
    """A photograph with its largest face, which has 81 landmarks."""

    name: str
    image: np.ndarray
    face: Face


def make_clips(prepared: Path, out: Path, split: str, *, frames: int = FRAMES, seed: int = 0) -> int:
    """Write a real and a forged clip of every photograph of a split; see the module.

    Args:
        prepared: by fpg-prepare; its photographs are read again where they lay.
        out: folder to write into.
        split: whose photographs.
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
    donors = {int(order[i]): people[int(order[i - 1])] for i in range(len(order))}
    with progress("Clips") as bar:
        task = bar.add_task("people", total=len(people))
        for index, person in enumerate(people):
            _write(person, donors[index], _BLENDS[index % 2], out, frames, seed, analyzer)
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


def _write(person: Photograph, other: Photograph, blend: Blend, out: Path, frames: int, seed: int, analyzer: FaceAnalyzer) -> None:
    params = draw_clip(stream(seed, "calibration", person.name), VideoConfig(length=frames))
    width = float(person.face.box[2] - person.face.box[0])
    real = list(moving(shrunk(person.image, width, params), params, frames))
    assert other.face.landmarks is not None
    donor = Donor(other.image, other.face.landmarks)
    fake = []
    for frame in real:
        faces = [face for face in analyzer(frame) if face.landmarks is not None and face.landmarks.shape == (81, 2)]
        fake.append(swap_face(frame, faces[0], donor, blend) if faces else frame)
    if all((a == b).all() for a, b in zip(real, fake, strict=True)):
        return  # no face was found in any frame
    write_video(out / "real" / f"{person.name}.mp4", real, fps=FPS, crf=params.crf)
    write_video(out / "fake" / blend / f"{person.name}.mp4", fake, fps=FPS, crf=params.crf)


def main(argv: list[str] | None = None) -> int:
    """`python -m fpg.data.calibration_clips`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fpg.data.calibration_clips", description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path, help="folder that fpg-prepare made of photographs")
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--split", default="test", help="whose photographs (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        count = make_clips(options.prepared, options.out, options.split)
    except FpgError as error:
        console.print(f"error: {error}", markup=False)
        return 1
    console.print(f"{count} people: a real and a forged clip of each in {options.out}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
