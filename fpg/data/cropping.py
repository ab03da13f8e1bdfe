"""One video to its face crops: frames evenly, every large face, lossless files, one row each."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fpg.common.crops import AREA_FRACTION, context_crop
from fpg.common.errors import InputError
from fpg.common.rng import stream
from fpg.data.as_video import VideoConfig, draw_clip, film
from fpg.data.crop_files import OutputError, write_crop
from fpg.data.face_files import frames_with_faces
from fpg.data.manifest import REAL, FaceRow, VideoRecord
from fpg.data.seek import read_needed_frames
from fpg.data.sources import VideoSource, frame_files, frame_time, split_of
from fpg.data.video import map_frames, read_image, sample_indices
from fpg.faces.sizes import MIN_FACE, face_size, too_small
from fpg.faces.tracks import track_faces
from fpg.faces.types import Face

Analyzer = Callable[[np.ndarray], Sequence[Face]]
"""Gives the faces of an image, uint8 [H, W, 3] RGB, largest first."""

_REASON_LIMIT = 3
_LONGEST_NAME, _LONGEST_PATH = 200, 1000
"""Bytes of one part of a crop's path, and of all of it."""


@dataclass(frozen=True)
class CropTask:
    """A source with its label and split decided."""

    source: VideoSource
    label: int
    precomputed: bool = False
    """Take frames and faces from the files next to the video, see `fpg.data.face_files`."""
    as_video: VideoConfig | None = None
    """Take frames of clips that are made of a picture instead of the picture; videos and folders of frames are as they are."""
    min_face: float = MIN_FACE
    """Smallest face that is cropped, in pixels (`fpg.faces.sizes`)."""

    def record(self, status: str, reason: str = "", frames: int = 0, frames_with_face: int = 0, *, code: str = "") -> VideoRecord:
        """What became of it."""
        s = self.source
        path = os.fsencode(os.path.abspath(s.path)).decode("utf-8", "backslashreplace")
        known = (s.compression, s.target, s.donor, s.split_reason)
        place = (s.dataset, s.method, s.video, self.label, split_of(s), path)
        return VideoRecord(*place, status, reason, frames, frames_with_face, *known, error_code=code, attributes=dict(s.attributes))


def prepare_one(task: CropTask, out: Path, analyzer: Analyzer, *, frames: int, threads: int = 0) -> tuple[VideoRecord, list[FaceRow]]:
    """Crop the faces of one source into `out`; what fails leaves no file behind.

    Args:
        task: what to read.
        out: the prepared data set's folder.
        analyzer: finds faces.
        frames: how many to look at, evenly over the video.
        threads: of the video decoder, 0 chooses.

    Returns:
        The record (`prepared`, `no_face`, or `failed` with the reason) and a row per crop.

    Raises:
        OutputError: a crop cannot be written.
    """
    crops = _Crops(task, out, analyzer)
    discard(task, out)
    done = False
    try:
        per_frame = _visit_frames(task, frames, crops, threads)
        rows = _tracked(per_frame)
        _clear(task, out, {row.path for row in rows})  # crops of a pass that was repeated
        done = True
    except OutputError:
        raise
    except InputError as error:
        path = "" if Path(error.path) == task.source.path else f"{Path(error.path).name} "
        return task.record("failed", path + error.reason, code=error.code), []
    except Exception as error:  # whatever a decoder or a face model throws at one input must not end the others
        return task.record("failed", f"unexpected {type(error).__name__}: {' '.join(str(error).split())}", code="internal"), []
    finally:
        if not done:
            discard(task, out)
    status, with_face = ("prepared" if rows else "no_face"), sum(bool(r) for r in per_frame)
    return task.record(status, crops.rejections(), len(per_frame), with_face), rows


def _tracked(per_frame: list[list[FaceRow]]) -> list[FaceRow]:
    tracks = track_faces([[row.box + np.tile(row.origin, 2) for row in rows] for rows in per_frame])
    return [
        replace(row, track=track) for rows, numbers in zip(per_frame, tracks, strict=True) for row, track in zip(rows, numbers, strict=True)
    ]


def _visit_frames(task: CropTask, count: int, crops: _Crops, threads: int) -> list[list[FaceRow]]:
    source = task.source
    if task.precomputed:
        return [crops.crop(*frame) for frame in frames_with_faces(source, count)]
    if source.kind == "image" and task.as_video is not None:
        return _visit_clips(task, task.as_video, crops)
    if source.kind == "video":
        return map_frames(source.path, count, crops.visit, threads=threads, read=read_needed_frames)
    files = frame_files(source.path) if source.kind == "frames" else [source.path]
    if not files:
        raise InputError(source.path, "holds no image", "empty")
    return [crops.visit(i, frame_time(i), read_image(files[i])) for i in sample_indices(len(files), count)]


def _visit_clips(task: CropTask, config: VideoConfig, crops: _Crops) -> list[list[FaceRow]]:
    """The kept frames of every clip made of a picture; frame i of clip k is number k x length + i. Without a face, none."""
    image = read_image(task.source.path)
    faces = crops.analyzer(image)
    if not faces:
        return [[]]
    width = float(faces[0].box[2] - faces[0].box[0])
    found: list[list[FaceRow]] = []
    for clip in range(config.clips):
        params = draw_clip(stream(0, "as-video", *task.source.key, clip), config)
        for index, frame in zip(params.kept, film(image, width, params, config.length), strict=True):
            number = clip * config.length + index
            found.append(crops.visit(number, frame_time(number), frame))
    return found


@dataclass
class _Crops:
    """Writes the crops of one source and remembers what it wrote and what it turned away."""

    task: CropTask
    out: Path
    analyzer: Analyzer
    rejected: dict[tuple[int, int], str] = field(default_factory=dict)

    def visit(self, index: int, time_s: float, image: np.ndarray) -> list[FaceRow]:
        """Find the faces of one frame, uint8 [H, W, 3], and crop the large ones."""
        return self.crop(index, time_s, image, self.analyzer(image))

    def crop(self, index: int, time_s: float, image: np.ndarray, faces: Sequence[Face]) -> list[FaceRow]:
        """Crop the large ones of the faces of one frame, uint8 [H, W, 3]."""
        usable = [face for number, face in enumerate(faces) if self._usable(index, number, face, image)]
        area = [float((f.box[2] - f.box[0]) * (f.box[3] - f.box[1])) for f in usable]
        order = [i for i in np.argsort([-a for a in area], kind="stable") if area[i] >= AREA_FRACTION * max(area)]
        large = [i for i in order if face_size(usable[i].box) >= self.task.min_face]
        self.rejected |= {(index, i): too_small(usable[i].box, self.task.min_face) for i in order if i not in large}
        return [self._crop(index, time_s, number, usable[i], image) for number, i in enumerate(large)]

    def _usable(self, index: int, number: int, face: Face, image: np.ndarray) -> bool:
        reason = ""
        if face.landmarks is None:
            reason = "no landmarks"
        elif not np.isfinite(face.box).all() or not (face.box[2:] > face.box[:2]).all():
            reason = f"box is not a box: {np.asarray(face.box).tolist()}"
        else:
            try:
                context_crop(face.landmarks, *image.shape[:2])
            except ValueError as error:
                reason = str(error)
        if reason:
            self.rejected[index, number] = reason
        return not reason

    def _crop(self, index: int, time_s: float, number: int, face: Face, image: np.ndarray) -> FaceRow:
        assert face.landmarks is not None
        height, width = image.shape[:2]
        y0, y1, x0, x1 = context_crop(face.landmarks, height, width)
        path = f"{crop_folder(self.task.source, self.task.label)}/{index:06d}_{number}.png"
        checksum = write_crop(self.out / path, image[y0:y1, x0:x1])
        s, shift = self.task.source, np.array([x0, y0], np.float32)
        return FaceRow(
            dataset=s.dataset,
            method=s.method,
            video=s.video,
            frame=index,
            time_s=time_s,
            face=number,
            label=self.task.label,
            split=split_of(s),
            path=path,
            origin=(x0, y0),
            frame_size=(height, width),
            size=(y1 - y0, x1 - x0),
            box=np.asarray(face.box, np.float32) - np.tile(shift, 2),
            landmarks=np.asarray(face.landmarks, np.float32) - shift,
            score=float(np.float32(face.score)),
            pose=None if face.pose is None else (float(face.pose[0]), float(face.pose[1]), float(face.pose[2])),
            crc32=checksum,
        )

    def rejections(self) -> str:
        """Faces that were turned away, the first few named."""
        named = [f"frame {frame} face {number}: {reason}" for (frame, number), reason in sorted(self.rejected.items())]
        more = f"; and {len(named) - _REASON_LIMIT} more" if len(named) > _REASON_LIMIT else ""
        return f"{len(named)} faces rejected: {'; '.join(named[:_REASON_LIMIT])}{more}" if named else ""


def discard(task: CropTask, out: Path) -> None:
    """Delete the crops that a process left when it died on `task`."""
    _clear(task, out, set())


def _clear(task: CropTask, out: Path, keep: set[str]) -> None:
    folder = out / crop_folder(task.source, task.label)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for file in list(folder.iterdir()):
            if file.suffix == ".png" and file.is_file() and file.relative_to(out).as_posix() not in keep:
                file.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()  # only when empty


def _short(name: str) -> str:
    """A name that file systems take (255 bytes), with room for the hash that makes it unique."""
    data = name.encode("utf-8", "replace")
    return name if len(data) <= _LONGEST_NAME else data[:_LONGEST_NAME].decode("utf-8", "ignore")


def crop_folder(source: VideoSource, label: int) -> str:
    """Folder of a source's crops, relative to the manifest: `crops/<data set>/<method>/<id>`, made safe and unique."""
    method = source.method or ("real" if label == REAL else "fake")
    parts = [source.dataset, method, *source.video.split("/")]
    safe = ["_" if part in ("", ".", "..") else part.replace("\\", "_").replace("\0", "_").replace("/", "_") for part in parts]
    safe = [_short(part) for part in safe]
    while len(safe) > 3 and len("/".join(safe).encode()) > _LONGEST_PATH:
        del safe[2]
    if safe != parts or (source.method or "real").lower() != method.lower():
        safe[-1] += "-" + hashlib.sha256("\0".join(source.key).encode()).hexdigest()[:8]
    return "/".join(["crops", *safe])
