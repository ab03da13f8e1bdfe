"""Uploads: multipart bodies, written to disk as they come, within bounds of size and patience."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from fpg.serve.refusal import RequestRefused
from fpg.serve.spool import input_file, shown_name

MAX_FIELD = 2048
"""Bytes of a form field, and of the headers of a part."""
MAX_PARTS = 16
PATIENCE_S = 30.0
"""How long an upload may stand still."""


@dataclass
class Upload:
    """A form with one file."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str = ""
    """Of the file, as it is shown."""
    file: str | None = None
    """Its name in the folder; None: the form had no file."""
    size: int = 0


@dataclass
class _Receiver:
    """The parser's callbacks."""

    folder: Path
    limit: int
    reserve: Callable[[int], None]
    upload: Upload = field(default_factory=Upload)
    ended: bool = False
    _parts: int = 0
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _headers: dict[str, bytes] = field(default_factory=dict)
    _field: str = ""
    _data: bytearray = field(default_factory=bytearray)
    _out: IO[bytes] | None = None

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RequestRefused("invalid", f"the form has more than {MAX_PARTS} parts")
        self._headers, self._data = {}, bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._bounded(self._header)

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bounded(self._value)

    def on_header_end(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()
        if len(self._headers) > MAX_PARTS:
            raise RequestRefused("invalid", "a part of the form has too many headers")

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            return
        if self._field != "file" or self.upload.file is not None:
            raise RequestRefused("invalid", "expected one file, in the field named file")
        name = options[b"filename"].decode("utf-8", "replace")
        self.upload.name, self.upload.file = shown_name(name), input_file(name)
        self._out = open(self.folder / self.upload.file, "xb")  # noqa: SIM115 - closed at the end of its part

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._out is None:
            self._data += data[start:end]
            self._bounded(self._data)
            return
        self.upload.size += end - start
        if self.upload.size > self.limit:
            raise too_large(self.limit)
        self.reserve(self.upload.size)
        self._out.write(data[start:end])

    def on_part_end(self) -> None:
        if self._out is not None:
            self.close()
        else:
            self.upload.fields[self._field] = self._data.decode("utf-8", "replace")

    def on_end(self) -> None:
        self.ended = True

    def close(self) -> None:
        if self._out is not None:
            self._out.flush()
            os.fsync(self._out.fileno())
            self._out.close()
            self._out = None

    def _bounded(self, data: bytearray) -> None:
        if len(data) > MAX_FIELD:
            raise RequestRefused("too_large", f"a field of the form, or its header, has more than {MAX_FIELD} bytes")

    @property
    def callbacks(self) -> Any:
        names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "part_end", "end")
        return {f"on_{name}": getattr(self, f"on_{name}") for name in names}


def too_large(limit: int) -> RequestRefused:
    """A file above the limit."""
    return RequestRefused("too_large", f"the file has more than {limit / 2**20:g} MiB, the limit here")


async def receive(
    body: AsyncIterator[bytes], content_type: str, folder: Path, limit: int, reserve: Callable[[int], None], patience_s: float = PATIENCE_S
) -> Upload:
    """Write the file of a multipart form into `folder` as it comes.

    Args:
        body: of the request.
        content_type: its header.
        folder: of the job.
        limit: bytes of the file.
        reserve: called with the bytes so far; raises where there is no room.
        patience_s: how long the body may stand still.

    Raises:
        RequestRefused: too large, too slow, or no form; what was written stays in the folder.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise RequestRefused("invalid", "expected a form (multipart/form-data) with a field named file")
    receiver = _Receiver(folder, limit, reserve)
    try:
        parser = MultipartParser(options[b"boundary"], receiver.callbacks)
        async for chunk in patient(body, patience_s):
            parser.write(chunk)
    except MultipartParseError as error:
        raise RequestRefused("invalid", f"the form cannot be read: {error}") from error
    finally:
        receiver.close()
    if not receiver.ended:
        raise RequestRefused("invalid", "the form ends before it is complete")
    return receiver.upload


async def patient(body: AsyncIterator[bytes], patience_s: float) -> AsyncIterator[bytes]:
    """The chunks of a body.

    Raises:
        RequestRefused: it stands still for longer than `patience_s`.
    """
    chunks = aiter(body)
    while True:
        try:
            yield await asyncio.wait_for(anext(chunks), patience_s)
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError as error:
            raise RequestRefused("slow", f"nothing was received for {patience_s:g} s") from error
