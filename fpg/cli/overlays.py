"""Where fpg-detect draws its copies, and drawing them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fpg.common.errors import InputError, UsageError
from fpg.data.images import IMAGE_SUFFIXES
from fpg.runtime.inputs import is_url
from fpg.runtime.judgement import Judgement
from fpg.runtime.video_overlay import write_overlay


class Overlays:
    """Places of the drawn copies: a file for one input; in a folder the inputs' own folders are kept below the one that they share.

    Where two copies would have one name, the later one gets a number. No copy takes an input's place.

    Args:
        out: file or folder, as `--overlay` names it.
        files: the inputs, as far as they are known.
        watched: a folder from which more will come.

    Raises:
        UsageError: one file for several inputs, or a copy that would take its input's place.
    """

    def __init__(self, out: str, files: Sequence[Path | str], watched: str | None = None) -> None:
        self._out, self._one = Path(out), bool(os.path.splitext(out)[1])
        if self._one and len(files) > 1:
            raise UsageError(f"--overlay: {out} is one file, for {len(files)} inputs: name a folder")
        self._inputs = {os.path.realpath(name) for name in files}
        if self._one and os.path.realpath(out) in self._inputs:
            raise UsageError(f"--overlay: {out} is an input and would be lost: name another file")
        folders = [os.path.dirname(os.path.abspath(name)) for name in files if not is_url(name)]
        folders += [os.path.abspath(watched)] if watched is not None else []
        self._root = os.path.commonpath(folders) if folders else os.getcwd()
        self._taken: dict[str, str] = {}
        for name in files:  # in their order, so that names do not depend on which ends first
            self.path(name)

    def path(self, name: Path | str) -> Path:
        """Where the copy of an input goes."""
        if self._one:
            return self._out
        mine = os.path.realpath(name)
        for candidate in self._candidates(Path(name)):
            real = os.path.realpath(candidate)
            if real not in self._inputs and self._taken.setdefault(real.casefold(), mine) == mine:
                return candidate
        raise AssertionError("there is always a number more")

    def draw(self, name: Path | str, result: Judgement, tell: Callable[[str], object]) -> list[InputError]:
        """Draw a judgement, telling of lost sound; what cannot be drawn is an error of its own, in addition to the verdict."""
        if result.frames:
            try:
                write_overlay(self.path(name), result, tell)
            except InputError as error:
                return [error]
        return []

    def _candidates(self, name: Path) -> Iterator[Path]:
        suffix = ".png" if name.suffix.lower() in IMAGE_SUFFIXES else ".mp4"
        folder = os.path.relpath(os.path.dirname(os.path.abspath(name)), self._root)
        below = self._out if folder == "." or folder.startswith("..") else self._out / folder
        yield below / f"{name.stem}-overlay{suffix}"
        yield below / f"{name.name}-overlay{suffix}"  # clip.mp4 next to clip.mov
        number = 2
        while True:
            yield below / f"{name.name}-overlay-{number}{suffix}"
            number += 1
