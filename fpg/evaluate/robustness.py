"""How a detector's AUC falls when whole frames are perturbed before faces are found: every video through every cell, resumable.

The clean score of a video is the one that the evaluation already has. A video's frames are decoded once for all perturbations of
frames; faces are detected anew under each. What has no score under a perturbation is named and counted in its cell, and
the drop compares the same videos with and without the perturbation.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.engines.base import Engine
from fpg.evaluate.attack import AttackedEngine, require_gradients
from fpg.evaluate.codecs import require_encoder, through_chain, through_codec
from fpg.evaluate.perturbations import Cell, perturb
from fpg.evaluate.protocol import EvaluationItem, Result
from fpg.evaluate.robustness_cells import tabulate
from fpg.evaluate.robustness_log import CLEAN, Log, PerturbedOutcome
from fpg.faces.sizes import MIN_FACE
from fpg.runtime.inputs import open_frames
from fpg.runtime.judgement import printable
from fpg.runtime.judging import Analyzer
from fpg.runtime.pipeline import judge

QUICK_VIDEOS = 25
"""Of each class, with `quick`."""
_CACHE_BYTES = 1 << 30
"""Decoded frames of one video that are kept; beyond it every perturbation decodes again."""


@dataclass
class Suite:
    """The perturbations of one evaluation.

    Args:
        engine: the detector.
        analyzer: builds the face finder; called once.
        cells: what to run, see `fpg.evaluate.perturbations.select`.
        frames: per video, as in the evaluation; None for all.
        batch: faces per call of the engine.
        seed: of everything that is drawn.
        log: file to go on from, see `Log`; None for none.
        most: videos of each class, drawn by `sample`; None for all.
        min_face: smallest face that is judged, in pixels.
    """

    engine: Engine
    analyzer: Callable[[], Analyzer]
    cells: Sequence[Cell]
    frames: int | None = 32
    batch: int = 16
    seed: int = 0
    log: str | os.PathLike[str] | None = None
    most: int | None = None
    min_face: float = MIN_FACE
    _log: Log = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for codec in sorted({codec for c in self.cells for codec in c.perturbation.codecs}):
            require_encoder(codec)
        if any(c.perturbation.attack for c in self.cells):
            require_gradients(self.engine)
        spec = self.engine.spec
        header = {"model": spec.files.get(spec.model_file), "temperature": spec.temperature, "frames": self.frames, "seed": self.seed}
        header |= {} if self.min_face == MIN_FACE else {"min_face": self.min_face}
        self._log = Log(self.log, header)
        self._analyzer = cache(self.analyzer)

    def _chosen(self, items: Sequence[EvaluationItem]) -> list[int]:
        return list(range(len(items))) if self.most is None else sample(items, self.most, self.seed)

    def steps(self, items: Sequence[EvaluationItem]) -> int:
        """How often `run` calls `advance`."""
        return len(self._chosen(items)) * len(self.cells)

    def run(
        self, items: Sequence[EvaluationItem], clean: Sequence[Result], advance: Callable[[str], object] = lambda cell: None
    ) -> dict[str, Any]:
        """Score every item under every cell.

        Args:
            items: labelled videos. Of prepared ones the original is used: perturbations need whole frames.
            clean: their results in the same order.
            advance: called with the name of each cell once it is done for a video.

        Returns:
            the `robustness` part of `metrics.json`, see `tabulate`.

        Raises:
            UsageError: no original of any prepared video is there.
        """
        if len(items) != len(clean):
            raise ValueError(f"clean: expected {len(items)} results, got {len(clean)}")
        prepared = [i for i in items if i.looked is not None]
        if prepared and not any(os.path.exists(i.source) for i in prepared):
            raise UsageError(
                "robustness needs whole frames, and a prepared folder holds faces only: its originals "
                f"(such as {printable(prepared[0].source)}) are not there; give the raw data with --data"
            )
        chosen = self._chosen(items)
        outcomes = [self._video(items[i], clean[i], advance) for i in chosen]
        result = tabulate([items[i] for i in chosen], outcomes, self.cells, self.seed)
        sampled = (
            None if len(chosen) == len(items) else f"a sample of {len(chosen)} of {len(items)} videos, even over data sets and methods"
        )
        return {**result, "sampled": sampled}

    def _video(self, item: EvaluationItem, clean: Result, advance: Callable[[str], object]) -> dict[tuple[str, int], PerturbedOutcome]:
        reader = _Reader(item, self.seed)
        found = {(CLEAN, 0): PerturbedOutcome.of(clean.judgement)}
        if item.looked is not None:  # prepared: its clean score comes from other frames and other boxes
            found[CLEAN, 0] = self._outcome(item, reader, None)
        broken = found[CLEAN, 0] if found[CLEAN, 0].status == "failed" else None
        for cell in self.cells:
            where = (cell.perturbation.name, cell.level)
            found[where] = broken or self._outcome(item, reader, cell)
            advance(cell.text)
        return found

    def _outcome(self, item: EvaluationItem, reader: _Reader, cell: Cell | None) -> PerturbedOutcome:
        name, level = (cell.perturbation.name, cell.level) if cell else (CLEAN, 0)
        key = (item.dataset, item.method, printable(item.video), name, level)
        stamp = _stamp(item.source)
        outcome = self._log.get(key, stamp)
        if outcome is None:
            engine: Engine = self.engine
            if cell is not None and cell.perturbation.attack:
                engine, cell = AttackedEngine(self.engine, item.label, cell.parameter / 255), None
            with reader.through(cell) as reading:
                judgement = judge(
                    item.source,
                    engine,
                    self._analyzer(),
                    frames=self.frames,
                    batch=self.batch,
                    min_face=self.min_face,
                    highlights=0,
                    reader=reading.open,
                )
            outcome = PerturbedOutcome.of(judgement, reading.unchanged)
            self._log.add(key, stamp, outcome)
        return outcome


class _Reader:
    """Frames of one input, decoded once and kept while they fit."""

    def __init__(self, item: EvaluationItem, seed: int) -> None:
        self._video = "/".join(printable(part) for part in (item.dataset, item.method, item.video))
        self._seed = seed
        self._kept: tuple[int, list[tuple[int, float, np.ndarray]]] | None = None

    def through(self, cell: Cell | None) -> _Reading:
        """Reading under one cell; None for clean frames."""
        return _Reading(self, cell)

    def frames(
        self, path: str | os.PathLike[str], wanted: int | None, total: int | None
    ) -> tuple[int, Iterator[tuple[int, float, np.ndarray]]]:
        """As `open_frames`."""
        if self._kept is not None:
            return self._kept[0], iter(self._kept[1])
        count, images = open_frames(path, wanted, total)
        return count, self._keep(count, images)

    def chained(self, path: str | os.PathLike[str], folder: str, cell: Cell, wanted: int | None) -> tuple[int, Iterator[Any]]:
        return through_chain(path, folder, cell, self._seed, self._video, wanted)

    def perturbed(self, image: np.ndarray, cell: Cell, index: int) -> np.ndarray:
        return perturb(image, cell, self._seed, self._video, index)

    def _keep(self, count: int, images: Iterator[tuple[int, float, np.ndarray]]) -> Iterator[tuple[int, float, np.ndarray]]:
        kept: list[tuple[int, float, np.ndarray]] = []
        size = 0
        for entry in images:
            size += entry[2].nbytes
            if size <= _CACHE_BYTES:
                kept.append(entry)
            else:
                kept.clear()
            yield entry
        if kept and size <= _CACHE_BYTES:  # all of it came through
            self._kept = (count, kept)


class _Reading:
    """One pass over an input under one cell; notes whether anything changed and removes what an encoder wrote."""

    def __init__(self, reader: _Reader, cell: Cell | None) -> None:
        self._reader, self._cell = reader, cell
        self._same = True
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> _Reading:
        if self._cell is not None and self._cell.perturbation.codecs:
            self._folder = tempfile.TemporaryDirectory(prefix="fpg-")
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def unchanged(self) -> bool:
        """After the pass: the perturbation changed no frame."""
        return self._same and self._cell is not None and not self._cell.perturbation.codecs

    def open(self, path: str | os.PathLike[str], wanted: int | None, total: int | None) -> tuple[int, Iterator[Any]]:
        """A reader for `judge`."""
        if self._cell is None:
            return self._reader.frames(path, wanted, total)
        if self._folder is not None and self._cell.perturbation.chain:
            return self._reader.chained(path, self._folder.name, self._cell, wanted)
        if self._folder is not None:
            return through_codec(path, self._folder.name, self._cell.perturbation.codec, int(self._cell.parameter), wanted)
        count, images = self._reader.frames(path, wanted, total)
        return count, self._perturbed(images, self._cell)

    def _perturbed(self, images: Iterable[tuple[int, float, np.ndarray]], cell: Cell) -> Iterator[tuple[int, float, np.ndarray]]:
        for index, time_s, image in images:
            changed = self._reader.perturbed(image, cell, index)
            self._same = self._same and np.array_equal(image, changed)
            yield index, time_s, changed


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def sample(items: Sequence[EvaluationItem], number: int, seed: int) -> list[int]:
    """Positions of at most `number` real and `number` fake items, spread evenly over data sets and methods, in order.

    Args:
        items: to draw from.
        number: per class.
        seed: of the draw.
    """
    chosen: list[int] = []
    for label in (REAL, FAKE):
        groups: dict[tuple[str, str], list[int]] = {}
        for index, item in enumerate(items):
            if item.label == label:
                groups.setdefault((item.dataset, item.method), []).append(index)
        for (dataset, method), indices in groups.items():
            stream(seed, "robustness sample", printable(dataset), printable(method)).shuffle(indices)
        turns = sorted((turn, key, index) for key, indices in groups.items() for turn, index in enumerate(indices))
        chosen += [index for _, _, index in turns[:number]]
    return sorted(chosen)
