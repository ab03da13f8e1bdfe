"""What fpg-detect shows while it judges: a line per input as it ends, a bar over all, and one inside every long video."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from fpg.cli.lines import HEAD, result_lines, summary_lines
from fpg.common.console import console, one_line, takes_colour
from fpg.runtime.judgement import Judgement, printable
from fpg.runtime.stages import StageTimes

LONG_S = 2.0
"""An input that takes longer gets a bar of its own."""


class Screen:
    """The terminal of one run; use as a context manager. The bars are on the standard error, and only where that is a terminal.

    Args:
        total: inputs to judge; None where nobody knows.
    """

    def __init__(self, total: int | None) -> None:
        self._out = sys.stdout
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._all = self._bars.add_task("judging", total=total)
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}
        self._inside: dict[str, TaskID] = {}
        self.judged = self.frames = self.faces = 0

    def __enter__(self) -> Screen:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def head(self) -> None:
        """Names of the columns."""
        self.line(HEAD)

    def seen(self, path: str | os.PathLike[str], done: int, count: int) -> None:
        """A frame was judged; see `fpg.runtime.options.Options.seen`. Called from any thread."""
        if self._bars.disable:
            return
        name = printable(path)
        with self._lock:
            if name in self._inside:
                self._bars.update(self._inside[name], completed=done, total=max(count, done))
            elif time.monotonic() - self._begun.setdefault(name, time.monotonic()) > LONG_S:
                self._inside[name] = self._bars.add_task(f"  {one_line(os.path.basename(name))[:40]}", total=count, completed=done)

    def result(self, result: Judgement) -> None:
        """The finding on the standard output; of a failure the reason on the standard error."""
        self.judged += result.score is not None
        self.frames += len(result.frames)
        self.faces += sum(len(frame.faces) for frame in result.frames)
        for line in result_lines(result, colour=takes_colour(self._out)):
            self.line(line)
        if result.score is None:
            self.error(f"error: {one_line(result.input)}: {one_line(result.error or '')}")
        with self._lock:
            self._begun.pop(result.input, None)
            if result.input in self._inside:
                self._bars.remove_task(self._inside.pop(result.input))
        self._bars.advance(self._all)

    def line(self, text: str) -> None:
        """A line of the standard output, above the bars where both are the terminal."""
        if self._bars.disable or not self._out.isatty():
            print(text, file=self._out, flush=True)
        else:
            self._bars.console.print(Text.from_ansi(text))

    def error(self, text: str) -> None:
        """A line of the standard error."""
        if self._bars.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bars.console.print(Text(text))

    def summary(self, levels: Mapping[str | None, int]) -> None:
        """What the inputs came to; see `fpg.cli.lines.summary_lines`."""
        for line in summary_lines(levels):
            self.line(line)

    def notice(self, text: str) -> None:
        """Something to know that ends nothing."""
        self.error(one_line(f"note: {text}"))

    def known(self, count: int) -> None:
        """So many inputs were judged before."""
        if count:
            self.error(f"note: {count} input{'s were' if count != 1 else ' was'} judged before: continuing with the others")
            self._bars.advance(self._all, count)

    def notes(self, notes: Iterable[str]) -> None:
        """What to say of folders."""
        for note in notes:
            self.notice(note)

    def stats(self, times: StageTimes, seconds: float) -> None:
        """What `--stats` prints."""
        rates = f"{self.judged / seconds:.2f} inputs/s, {self.frames / seconds:.1f} frames/s, {self.faces / seconds:.1f} faces/s"
        plural = "" if self.judged == 1 else "s"
        counts = f"{self.judged} input{plural}, {self.frames} frames and {self.faces} faces in {seconds:.2f} s"
        print(f"\n{counts}: {rates}", file=sys.stderr)
        print("stage      count   share   p50 ms   p95 ms   p99 ms", file=sys.stderr)
        for row in times.summary():
            ms = "".join(f"{v:9.1f}" for v in (row.p50_ms, row.p95_ms, row.p99_ms))
            print(f"{row.stage:<8}{row.number:>8}{row.total_s / seconds:>8.0%}{ms}", file=sys.stderr)
        what = "share: of the whole time; stages run at the same time. Decoding is per examined frame, the network per batch."
        print(what, file=sys.stderr)
