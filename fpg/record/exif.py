"""Texts in an EXIF block: who made the picture, when, with what. Reads nothing else; the twin of `exif_texts` in `deploy/src/media.cpp`."""

from __future__ import annotations

import struct

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
    if data[:6] == b"Exif\0\0":
        data = data[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return {}
    found: dict[str, str] = {}
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    second = _directory(data, order, first, found)
    if second:
        _directory(data, order, second, found)
    if "changed" in found:
        found.setdefault("created", found.pop("changed"))
    found.pop("changed", None)
    return found


def _directory(data: bytes, order: str, at: int, found: dict[str, str]) -> int:
    """Take the texts of a directory; where the one below it is, 0 without one."""
    below = 0
    if at + 2 > len(data):
        return 0
    (entries,) = struct.unpack_from(f"{order}H", data, at)
    for entry in range(at + 2, at + 2 + 12 * min(entries, _MOST_ENTRIES), 12):
        if entry + 12 > len(data):
            break
        tag, kind, count, value = struct.unpack_from(f"{order}HHII", data, entry)
        if tag == _SUB_DIRECTORY and kind == _LONG:
            below = value
        name = _TAGS.get(tag)
        if name is None or kind != _ASCII or name in found:
            continue
        start = entry + 8 if count <= 4 else value
        text = bytes(data[start : start + min(count, _LONGEST)]).split(b"\0")[0].decode("utf-8", "replace").strip()
        if text:
            found[name] = text
    return below
