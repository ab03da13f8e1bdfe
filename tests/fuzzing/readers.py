"""What is fuzzed: every reader of a file that somebody else may have written, with files to begin from."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import makers
import numpy as np
from judging import spec as engine_spec
from PIL import Image

from fpg.common.errors import FpgError

CORPUS = Path(__file__).parents[1] / "data" / "fuzz"
"""A folder per kind of file; the C++ fuzzer takes the same."""


@dataclass(frozen=True)
class Reader:
    """One thing to fuzz."""

    seeds: Callable[[], list[Path]]
    read: Callable[[Path], object]
    """Given a file with the suffix of the seed it came from. Whatever it raises other than `FpgError` is a finding."""


def kept(kind: str) -> Callable[[], list[Path]]:
    """The files of a folder of the corpus."""
    return lambda: sorted((CORPUS / kind).iterdir())


def _sidecar(path: Path) -> None:
    from fpg.common.spec import read_spec, sidecar

    model = path.with_name("fuzzed.onnx")
    model.write_bytes(b"")
    shutil.copy(path, sidecar(model))
    spec = read_spec(model)
    json.dumps(asdict(spec), allow_nan=False, ensure_ascii=False).encode("utf-8")
    _ = float(spec.temperature), spec.outputs


def _manifest(path: Path) -> None:
    from fpg.data.crop_files import read_crop
    from fpg.data.manifest import read_manifest
    from fpg.data.statistics import statistics

    manifest = read_manifest(path)
    statistics(manifest)
    json.dumps([asdict(video) for video in manifest.videos]).encode("utf-8")
    for row in manifest.faces[:2]:
        try:
            read_crop(path.parent, row)
        except FpgError:
            continue


def _tflite(path: Path) -> None:
    from fpg.models.tflite import read_tflite

    read_tflite(path)


def _tflite_seeds() -> list[Path]:
    from fpg.faces.mediapipe import DETECTOR_FILE, LANDMARK_FILE, model_path

    return [model_path(LANDMARK_FILE), model_path(DETECTOR_FILE)]


def _npy(path: Path) -> None:
    from fpg.faces.precomputed import read_boxes, read_faces

    try:
        read_faces(path, single=True)
    except FpgError:
        read_boxes(path)


def _lists(path: Path) -> None:
    from fpg.data.sources import survey

    found = survey(path)
    found.warnings()
    for source in found.require():
        "/".join(source.key).encode("utf-8")


def _images(path: Path) -> None:
    from fpg.data.images import read_image

    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.ndim == 3


def _videos(path: Path) -> None:
    from fpg.data.video import map_frames

    map_frames(path, 4, lambda index, time_s, image: image.shape, threads=1)


def _needed(path: Path) -> None:
    from fpg.data.seek import read_needed_frames
    from fpg.data.video import probe, sample_indices

    for _ in read_needed_frames(path, sample_indices(probe(path).frames, 4)):
        pass


def _checkpoints(path: Path) -> None:
    from fpg.models.weights import read_state

    read_state(path)


def _scores(path: Path) -> None:
    from fpg.evaluate.foreign import read_scores

    read_scores(path, 0.5)


def _attributes(path: Path) -> None:
    from fpg.evaluate.attributes import read_attributes

    read_attributes(path)


READERS = {
    "sidecar": Reader(kept("sidecar"), _sidecar),
    "manifest": Reader(kept("manifest"), _manifest),
    "tflite": Reader(_tflite_seeds, _tflite),
    "npy": Reader(kept("npy"), _npy),
    "lists": Reader(kept("lists"), _lists),
    "scores": Reader(kept("scores"), _scores),
    "attributes": Reader(kept("attributes"), _attributes),
    "checkpoints": Reader(kept("checkpoints"), _checkpoints),
    "images": Reader(kept("images"), _images),
    "videos": Reader(kept("videos"), _videos),
    "needed": Reader(kept("videos"), _needed),
}


def make_corpus(out: Path = CORPUS) -> None:
    """Write the corpus again: small files of every kind. `python -m fuzzing.readers` in tests/."""
    for name, data in _files():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    for name, options in _VIDEOS.items():
        (out / "videos").mkdir(parents=True, exist_ok=True)
        makers.write_video(out / "videos" / name, makers.pictures(6, width=32, height=32, face=(8, 8, 20, 20)), **options)
    _write_manifest(out / "manifest")
    import torch

    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    state = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)}
    torch.save({"state_dict": state, "epoch": 3}, out / "checkpoints" / "zip.pth")
    torch.save(state, out / "checkpoints" / "legacy.pth", _use_new_zipfile_serialization=False)


_VIDEOS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "sound.mp4": {"sound": True},
    "mpeg4.avi": {"codec": "mpeg4"},
    "vp8.webm": {"codec": "libvpx"},
    "turned.mov": {"rotation": 90},
    "mpeg2.ts": {"codec": "mpeg2video"},
}


def _files() -> list[tuple[str, bytes]]:
    picture = Image.fromarray(makers.picture(24, 20, (4, 4, 12, 12)))
    exif = Image.Exif()
    exif[0x0112] = 6
    files: list[tuple[str, bytes]] = []
    # fmt: off
    for name, kind, options in (
        ("plain.png", "PNG", {}), ("turned.jpg", "JPEG", {"exif": exif}), ("scans.jpg", "JPEG", {"progressive": True}),
        ("a.webp", "WEBP", {}), ("a.tif", "TIFF", {"compression": "tiff_lzw"}), ("a.bmp", "BMP", {}), ("a.ppm", "PPM", {}),
        ("a.jp2", "JPEG2000", {}), ("turned.png", "PNG", {"exif": exif}),
    ):
        # fmt: on
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        files.append((f"images/{name}", stream.getvalue()))
    for name, mode in (("inks.jpg", "CMYK"), ("grey16.png", "I;16"), ("palette.png", "P"), ("alpha.png", "RGBA")):
        stream = io.BytesIO()
        changed = picture.convert("L").convert(mode) if mode == "I;16" else picture.convert(mode)
        changed.save(stream, "JPEG" if name.endswith("jpg") else "PNG")
        files.append((f"images/{name}", stream.getvalue()))
    for name, array in (("landmarks.npy", np.ones((2, 68, 2), np.float32)), ("boxes.npy", np.arange(14.0).reshape(1, 7, 2))):
        stream = io.BytesIO()
        np.save(stream, array)
        files.append((f"npy/{name}", stream.getvalue()))
    provenance = {"run": "none", "seed": 3, "parity": {"table": [[1, 2.5], ["a", None]]}}
    spec = asdict(engine_spec(batch=(1, 8, 32), provenance=provenance, reference={"seed": 0, "batch": 1, "logits": [[0.0, 1.0]]}))
    files.append(("sidecar/m.spec.json", json.dumps(spec).encode()))
    table = io.StringIO()
    csv.writer(table).writerows([["path", "label", "split", "method"], ["a.mp4", "real", "train", ""], ["b/c.mp4", "1", "test", "df"]])
    files.append(("lists/list.csv", table.getvalue().encode()))
    frames = {"label": "CelebDFv2_fake", "frames": ["Celeb-DF-v2/frames/a/1.png", "Celeb-DF-v2/frames/a/2.png"]}
    files.append(("lists/benchmark.json", json.dumps({"Celeb-DF-v2": {"CelebDFv2_fake": {"test": {"a": frames}}}}).encode()))
    files.append(("attributes/people.csv", b'video,sex,age\na/v1.mp4,f,"20, 30"\nv2,m,\n\n'))
    files.append(("scores/scores.csv", b"video,label,score,dataset,method,frame\na.mp4,0,0.25,d,,0\nb.mp4,fake,0.75,d,df,1\n"))
    files.append(("scores/benchmark.json", json.dumps({"image": ["d/a/1.png", "d/b/1.png"], "pred": [0.1, 0.9], "label": [0, 1]}).encode()))
    return files


def _write_manifest(folder: Path) -> None:
    from fpg.data.manifest import FaceRow, VideoRecord, write_manifest

    folder.mkdir(parents=True, exist_ok=True)
    points = np.arange(136, dtype=np.float32).reshape(68, 2)
    faces = [
        FaceRow(
            "d",
            "",
            "v",
            i,
            i / 25,
            0,
            0,
            "train",
            f"crops/{i}.png",
            (1, 2),
            (48, 64),
            (20, 24),
            np.float32([1, 1, 9, 9]),
            points,
            0.9,
            None,
            0,
            5,
        )
        for i in range(3)
    ]
    write_manifest(folder, faces, [VideoRecord("d", "", "v", 0, "train", "/v.mp4", "prepared", frames=3, frames_with_face=3)])


if __name__ == "__main__":
    av.logging.set_level(av.logging.PANIC)
    make_corpus()
