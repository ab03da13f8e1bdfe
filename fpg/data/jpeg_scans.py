"""How many scans a JPEG file has. Each costs a pass over the whole picture, and 100 kB have room for thousands."""

from __future__ import annotations

import re

from fpg.common.constants import CONSTANTS

MAX_SCANS: int = CONSTANTS["reading"]["max_jpeg_scans"]
"""Encoders write about ten."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SOS, _EOI = 0xDA, 0xD9


def scans(data: bytes) -> int:
    """Scans of the first picture in `data`, up to its end; counting stops beyond `MAX_SCANS`."""
    count, position = 0, 2
    while count <= MAX_SCANS and (match := _MARKER.search(data, position)):
        kind = data[match.start() + 1]
        if kind == _EOI:
            break
        count += kind == _SOS
        length = int.from_bytes(data[match.end() : match.end() + 2], "big")
        position = match.end() + max(2, length)
    return count
