"""Where the data of a file end, in containers that FFmpeg does not ask: Ogg streams that miss their last page, transport streams
that are filled up with zeros."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_PACKETS = ((188, 0), (192, 4))
"""Length of a transport stream's packets, and where in each the byte 0x47 is: plain, and with time codes (M2TS)."""
_BLOCK = 1 << 16


def lacks_ogg_end(path: str | os.PathLike[str]) -> bool:
    """Whether a stream of an Ogg file (RFC 3533) begins and has no last page, or the file ends inside a page."""
    begun: set[int] = set()
    ended: set[int] = set()
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        position = 0
        while position < size:
            file.seek(position)
            head = file.read(27)
            if len(head) < 27:
                return True
            if head[:4] != b"OggS":
                break  # what follows is no page, and whether it matters is the demuxer's to say
            flags, serial, segments = head[5], struct.unpack_from("<I", head, 14)[0], file.read(head[26])
            if flags & 2:
                begun.add(serial)
                ended.discard(serial)
            if flags & 4:
                ended.add(serial)
            position += 27 + head[26] + sum(segments)
    return position > size or bool(begun - ended)


def transport_stream_end(path: str | os.PathLike[str]) -> int | None:
    """How many bytes of an MPEG transport stream come before the zeros that it ends in; None where it is none, or does not end so."""
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        start = file.read(4 * 192)
        length = next(
            (n for n, at in _PACKETS if len(start) > 2 * n + at and {start[at], start[n + at], start[2 * n + at]} == {0x47}), None
        )
        if length is None:
            return None
        data = _before_zeros(file, size)
    whole = -(-data // length) * length
    return whole if whole < size else None


def _before_zeros(file: BinaryIO, size: int) -> int:
    """Position after the last byte that is not zero."""
    end = size
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        rest = file.read(end - begin).rstrip(b"\0")
        if rest:
            return begin + len(rest)
        end = begin
    return 0
