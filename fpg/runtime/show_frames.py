"""What was judged, to look at: frames as they went to the face finder and crops as they went to the network, with an index."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fpg.common.errors import InputError
from fpg.common.files import atomic_write
from fpg.runtime.judgement import FrameScore, printable

INDEX = "index.json"


class ShownFrames:
    """A folder with one folder per input; may be used by several threads.

    `index.json` names, for each input, its folder and its frames: index, time_s, image, faces (box, score, crop), where image and
    crop are PNG files.

    Args:
        folder: made if it is not there; folders of inputs in it are replaced.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._inputs: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def begin(self, path: str | os.PathLike[str], count: int) -> None:
        """An input, or an input anew, of which `count` frames are expected.

        Raises:
            InputError: its folder cannot be made.
        """
        name = printable(path)
        with self._lock:
            known = self._inputs.get(name)
            folder = known["folder"] if known else f"{len(self._inputs):04d}-{_plain(Path(name).name)}"
            self._inputs[name] = {"input": name, "folder": folder, "frames": []}
        try:
            shutil.rmtree(self.folder / folder, ignore_errors=True)
            (self.folder / folder).mkdir(parents=True)
        except OSError as error:
            raise InputError(self.folder / folder, f"cannot be written: {error.strerror or error}", "not_written") from error

    def keep(self, image: np.ndarray) -> np.ndarray:
        """The whole frame."""
        return image

    def add(self, path: str | os.PathLike[str], frame: FrameScore, inputs: tuple[np.ndarray, ...], image: np.ndarray | None) -> None:
        """A judged frame of an input that was begun.

        Args:
            path: the input.
            frame: its scores.
            inputs: float32 [3, S, S] in [0, 1] for each face, what the network was given.
            image: uint8 [H, W, 3] RGB, what the face finder was given.

        Raises:
            InputError: a file cannot be written.
        """
        entry = self._inputs[printable(path)]
        stem = f"{entry['folder']}/frame-{frame.index:06d}"
        faces = []
        for number, (face, pixels) in enumerate(zip(frame.faces, inputs, strict=True)):
            crop = f"{stem}-face-{number}.png"
            self._write(crop, np.rint(pixels * 255).astype(np.uint8).transpose(1, 2, 0))
            faces.append({"box": [round(v, 2) for v in face.box], "score": face.score, "crop": crop})
        assert image is not None  # `keep` keeps it
        self._write(f"{stem}.png", image)
        entry["frames"].append({"index": frame.index, "time_s": round(frame.time_s, 4), "image": f"{stem}.png", "faces": faces})

    def finish(self) -> None:
        """Write the index.

        Raises:
            InputError: it cannot be written.
        """
        with atomic_write(self.folder / INDEX, "w") as file:
            json.dump({"inputs": list(self._inputs.values())}, file, indent=2, ensure_ascii=False)
            file.write("\n")

    def _write(self, name: str, image: np.ndarray) -> None:
        path = self.folder / name
        try:
            path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes())
        except OSError as error:
            raise InputError(path, f"cannot be written: {error.strerror or error}", "not_written") from error


def _plain(name: str) -> str:
    """A name of letters, digits, dots, dashes and underscores, of at most 60."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:60]
