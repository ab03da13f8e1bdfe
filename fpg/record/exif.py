"""Texts in an EXIF block: who made the picture, when, with what. Reads nothing else; the twin of `exif_texts` in `deploy/src/exif.cpp`."""

from __future__ import annotations

import struct
from typing import NamedTuple

_ASCII, _LONG = 2, 4
_SUB_DIRECTORY = 0x8769
_TAGS = {0x010F: "make", 0x0110: "model", 0x0131: "encoder", 0x0132: "changed", 0x9003: "created"}
_MOST_ENTRIES = 1000
_LONGEST = 1000


def exif_texts(block: bytes | memoryview | object) -> dict[str, str]:
    """make, model, encoder (the program that wrote the picture) and created, each where it is stated.

    Args:
        block: TIFF structure (a TIFF file, or an EXIF block with or without the prefix `Exif\\0\\0`); damage in it states nothing.
    """
    data: bytes = block  # type: ignore[assignment]
    while data[:6] == b"Exif\0\0":  # some write it twice
        data = data[6:]
    form = _FORMS.get(bytes(data[:4]))
    if form is None or len(data) < form.first + form.offset.size:
        return {}
    found: dict[str, str] = {}
    (first,) = form.offset.unpack_from(data, form.first)
    second = _directory(data, form, first, found)
    if second:
        _directory(data, form, second, found)
    if "changed" in found:
        found.setdefault("created", found.pop("changed"))
    found.pop("changed", None)
    return found


class _Form(NamedTuple):
    """How a TIFF structure lays out its directories; BigTIFF has 8 bytes where TIFF has 4."""

    first: int
    """Where the offset of the first directory stands."""
    offset: struct.Struct
    entries: struct.Struct
    """Of their number."""
    entry: struct.Struct
    """Tag, type, count and value."""
    inside: int
    """Bytes of a value that stand in the entry itself."""

    @staticmethod
    def of(order: str, big: bool) -> _Form:
        if big:
            return _Form(8, struct.Struct(order + "Q"), struct.Struct(order + "Q"), struct.Struct(order + "HHQQ"), 8)
        return _Form(4, struct.Struct(order + "I"), struct.Struct(order + "H"), struct.Struct(order + "HHII"), 4)


_FORMS = {
    b"II*\0": _Form.of("<", False),
    b"MM\0*": _Form.of(">", False),
    b"II+\0": _Form.of("<", True),
    b"MM\0+": _Form.of(">", True),
}


def _directory(data: bytes, form: _Form, at: int, found: dict[str, str]) -> int:
    """Take the texts of a directory; where the one below it is, 0 without one."""
    below = 0
    if at + form.entries.size > len(data):
        return 0
    (entries,) = form.entries.unpack_from(data, at)
    start = at + form.entries.size
    for entry in range(start, start + form.entry.size * min(entries, _MOST_ENTRIES), form.entry.size):
        if entry + form.entry.size > len(data):
            break
        tag, kind, count, value = form.entry.unpack_from(data, entry)
        if tag == _SUB_DIRECTORY and kind == _LONG:
            below = value
        name = _TAGS.get(tag)
        if name is None or kind != _ASCII or name in found:
            continue
        first = entry + form.entry.size - form.inside if count <= form.inside else value
        text = bytes(data[first : first + min(count, _LONGEST)]).split(b"\0")[0].decode("utf-8", "replace").strip()
        if text:
            found[name] = text
    return below
