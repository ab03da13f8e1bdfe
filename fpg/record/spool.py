"""Results on disk as they come, a JSON line each: memory does not grow with their number, and a run that was killed goes on from them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from fpg.common.constants import CONSTANTS
from fpg.common.errors import InputError, UsageError
from fpg.common.files import atomic_write
from fpg.common.strict_json import parse_json
from fpg.record.run import RunRecord
from fpg.record.schema import SCHEMA

_EARLIER: tuple[str, ...] = tuple(CONSTANTS["record"]["resumed_settings"])
"""Settings that results depend on: a run goes on only with the same."""


class Line(NamedTuple):
    """Where a result lies in the file, and enough of it to know the input again."""

    start: int
    length: int
    bytes: int | None
    modified: str | None
    score: float | None
    level: str | None
    """Of its finding; None without one."""


class ResultSpool:
    """A file of lines, of which whole ones survive whatever ends the program. Use as a context manager.

    Args:
        path: of the file; None for one that nobody sees.
        record: of the run.
        resume: keep the lines that are there, and go on behind them.

    Raises:
        InputError: the file cannot be written or read.
        UsageError: the lines that are there come from another model, version or settings.
    """

    def __init__(self, path: str | os.PathLike[str] | None, record: RunRecord, *, resume: bool = False) -> None:
        self.path, self.record = path, record
        self.known: dict[str, Line] = {}
        """Lines that were there when a run was resumed, by the input's name; None in place of a name that several inputs have."""
        self._stream: IO[bytes] | None = None
        """A pipe or device, which takes lines and gives none."""
        try:
            if path is not None and os.path.exists(path) and not os.path.isfile(path):
                if resume:
                    raise UsageError(f"--resume: {path} is not a file, so it keeps no lines")
                self._stream = open(path, "wb", buffering=0)  # noqa: SIM115
            if path is None or self._stream is not None:
                self._file: IO[bytes] = tempfile.TemporaryFile(prefix="fpg-", buffering=0)  # noqa: SIM115
            else:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                self._file = open(path, "r+b" if resume and os.path.exists(path) else "w+b", buffering=0)  # noqa: SIM115
            if resume and path is not None:
                self._take_up()
        except OSError as error:
            raise self._refused(error) from error

    def __enter__(self) -> ResultSpool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if self._stream is not None:
            self._stream.close()

    def add(self, result: dict[str, Any], ended: str) -> Line:
        """Write a result behind the others; when this returns, the end of the program does not take it away.

        Args:
            result: of one input, as `Judgement.to_json` gives it.
            ended: when it was judged (`fpg.record.run.now`).

        Raises:
            InputError: the file cannot be written.
        """
        value = {**result, "schema": SCHEMA, "record": self.record.at(ended).to_json()}
        data = (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode()
        try:
            start = self._file.seek(0, os.SEEK_END)
            for file in (self._file, self._stream):
                rest = memoryview(data)
                while file is not None and rest:
                    rest = rest[file.write(rest) :]
        except OSError as error:
            raise self._refused(error) from error
        return _line(start, len(data), result)

    def read(self, line: Line) -> dict[str, Any]:
        """A result, as it was added."""
        self._file.seek(line.start)
        data = b""
        while len(data) < line.length and (more := self._file.read(line.length - len(data))):
            data += more
        value: dict[str, Any] = json.loads(data)
        del value["schema"], value["record"]
        return value

    def _refused(self, error: OSError) -> InputError:
        return InputError(self.path or "temporary file", f"cannot be written: {error.strerror or error}", "not_written")

    def _take_up(self) -> None:
        """Note the whole lines that are there, and cut off what a kill left of the last one."""
        self._file.seek(0)
        position, twice = 0, set()
        for number, data in enumerate(_lines(self._file), 1):
            try:
                value = parse_json(data.decode())
            except ValueError:
                value = None
            if not data.endswith(b"\n"):
                break
            if not isinstance(value, dict) or not isinstance(value.get("input"), str) or not isinstance(value.get("record"), dict):
                raise InputError(
                    self.path or "", f"line {number} is not a result of fpg-detect: --resume continues only its own lines", "invalid"
                )
            self._check(value["record"], number)
            if value["input"] in self.known:
                twice.add(value["input"])
            self.known[value["input"]] = _line(position, len(data), value)
            position += len(data)
        for name in twice:
            del self.known[name]  # which of the inputs of one name it is cannot be told
        self._file.truncate(position)

    def _check(self, before: dict[str, Any], number: int) -> None:
        now = self.record.to_json()
        for what, value, other in _that_count(now, before):
            if value != other:
                raise UsageError(
                    f"--resume: line {number} of {self.path} was written with {what} {_short(other)}, now {_short(value)}: "
                    "go on with the same, or without --resume"
                )


def _that_count(now: dict[str, Any], before: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(what, now, before) of all that results depend on."""
    yield "schema", now["schema"], before.get("schema")
    yield "the program", now["fpg"]["program"], _part(before, "fpg", "program")
    yield "fpg", now["fpg"]["version"], _part(before, "fpg", "version")
    models = before.get("models")
    hashes = [model.get("sha256") for model in models if isinstance(model, dict)] if isinstance(models, list) else None
    yield "the model", [model["sha256"] for model in now["models"]], hashes
    for key in _EARLIER:
        yield f"--{key.replace('_', '-')}", now["settings"].get(key), _part(before, "settings", key)


def _part(record: dict[str, Any], section: str, key: str) -> Any:
    value = record.get(section)
    return value.get(key) if isinstance(value, dict) else None


def _short(value: Any) -> str:
    return ", ".join(f"{str(v)[:12]}" for v in value) if isinstance(value, list) else str(value)


def _line(start: int, length: int, result: dict[str, Any]) -> Line:
    score, level = result.get("score"), _part(result, "finding", "level")
    score = float(score) if isinstance(score, (int, float)) else None
    return Line(start, length, result.get("bytes"), result.get("modified"), score, level if isinstance(level, str) else None)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines of an unbuffered file, from its place on."""
    rest = b""
    while block := file.read(1 << 20):
        *whole, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def write_results(path: str | os.PathLike[str], head: dict[str, Any], results: Iterable[dict[str, Any]], tail: dict[str, Any]) -> None:
    """Write `{**head, "results": [...], **tail}` as indented JSON, atomically, one result after the other.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_write(path, "w") as file:
        file.write(_indented(head)[:-2] + ',\n  "results": [')
        end = "]"
        for number, result in enumerate(results):
            file.write(("," if number else "") + "\n    " + _indented(result).replace("\n", "\n    "))
            end = "\n  ]"
        file.write(end + "," + _indented(tail)[1:] + "\n")


def _indented(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
