"""Files by their bytes, where no library writes what cameras and editors do: EXIF blocks, TIFF, parts put into JPEG, PNG and MP4."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def exif(value: int | bytes, kind: int = 3, big: bool = False, second: bool = False) -> bytes:
    """An EXIF block whose orientation has this TIFF type (2 ASCII, 3 SHORT, 4 LONG) and value; in its `second` directory, that of the
    thumbnail, if told so."""
    order = ">" if big else "<"
    if isinstance(value, bytes):
        payload = value.ljust(4, b"\0")
    else:
        payload = struct.pack(order + {3: "HH", 4: "I"}[kind], *((value, 0) if kind == 3 else (value,)))
    count = len(value) if isinstance(value, bytes) else 1
    head = b"Exif\0\0" + (b"MM\0*" if big else b"II*\0") + struct.pack(order + "I", 8)
    first = struct.pack(order + "HI", 0, 14) if second else b""
    return head + first + struct.pack(order + "HHHI", 1, 0x0112, kind, count) + payload + bytes(4)


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    """A segment of a JPEG file."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def after_start(segment: bytes) -> object:
    """Puts a segment behind a JPEG's first two bytes."""
    return lambda data: data[:2] + segment + data[2:]


def without_segment(data: bytes, marker: int) -> bytes:
    """A JPEG without the segments of a marker before its picture."""
    kept, position = data[:2], 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        kept += b"" if data[position + 1] == marker else data[position:end]
        position = end
    return kept + data[position:]


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(image: np.ndarray, colour: int, depth: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG of samples [H, W, N], uint8 or uint16, with chunks before and after its pixels.

    Args:
        colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        depth: bits of a sample; fewer than 8 are packed, of one channel.
    """
    height, width = image.shape[:2]
    samples = image.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1)
    if depth < 8:
        bits = np.unpackbits(samples[..., None], axis=2)[..., 8 - depth :].reshape(height, -1)
        samples = np.packbits(bits, axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + png_chunk(b"IDAT", zlib.compress(rows)) + after + png_chunk(b"IEND", b"")


def tiff(
    path: Path,
    image: np.ndarray,
    *,
    big_endian: bool = False,
    big: bool = False,
    tile: int | None = None,
    planes: bool = False,
    deflate: bool = False,
    **fields: int,
) -> None:
    """A TIFF of samples [H, W, N], uint8 or uint16.

    Args:
        big_endian: byte order. big: BigTIFF, with places of 64 bits.
        tile: side of square tiles, of 16; strips of 16 rows without.
        planes: every channel apart.
        deflate: compressed.
        fields: `photometric` (2 without: RGB), `orientation`, `extra` (kind of alpha), `subfile`.
    """
    order, place = (">" if big_endian else "<"), ("Q" if big else "I")
    height, width, samples = image.shape
    stored = image.astype(image.dtype.newbyteorder(order))
    blocks = []
    for part in np.split(stored, samples, axis=2) if planes else [stored]:
        down, across = (tile, tile) if tile else (16, width)
        for y in range(0, height, down):
            for x in range(0, width, across):
                block = part[y : y + down, x : x + across]
                if tile:
                    block = np.pad(block, ((0, tile - block.shape[0]), (0, tile - block.shape[1]), (0, 0)))
                blocks.append(zlib.compress(block.tobytes()) if deflate else block.tobytes())
    start = 16 if big else 8
    offsets = [start + sum(map(len, blocks[:i])) for i in range(len(blocks))]
    where, length = (324, 325) if tile else (273, 279)
    entries: dict[int, tuple[str, Sequence[int]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [8 * image.itemsize] * samples), 259: ("H", [8 if deflate else 1]),
        262: ("H", [fields.get("photometric", 2)]), where: (place, offsets), 277: ("H", [samples]), length: (place, list(map(len, blocks))),
        284: ("H", [2 if planes else 1]),
    }  # fmt: skip
    entries |= {322: ("I", [tile]), 323: ("I", [tile])} if tile else {278: ("I", [16])}
    given = {"orientation": (274, "H"), "extra": (338, "H"), "subfile": (254, "I")}
    entries |= {tag: (form, [fields[name]]) for name, (tag, form) in given.items() if name in fields}
    data = b"".join(blocks)
    data += b"\0" * (len(data) % 2)
    body, at = [], start + len(data)
    for tag, (form, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{form}", *values)
        inline = struct.calcsize(place)
        if len(packed) > inline:
            data, packed, at = data + packed, struct.pack(order + place, at), at + len(packed)
        kind = {"H": 3, "I": 4, "Q": 16}[form]
        body.append(struct.pack(f"{order}HH{place}", tag, kind, len(values)) + packed.ljust(inline, b"\0"))
    directory = struct.pack(order + ("Q" if big else "H"), len(body)) + b"".join(body) + bytes(8)
    magic = struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    path.write_bytes((b"MM" if big_endian else b"II") + magic + struct.pack(order + place, at) + data + directory)


def box(kind: bytes, payload: bytes) -> bytes:
    """A box of an ISO base media file."""
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def _find(data: bytes, path: Sequence[bytes], start: int, end: int) -> tuple[int, int]:
    """Where the first box at a path begins and ends."""
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if kind == path[0]:
            return (start, start + size) if len(path) == 1 else _find(data, path[1:], start + 8, start + size)
        start += size
    raise LookupError(path)


def edited(data: bytes, edits: Sequence[tuple[float, float | None] | tuple[float, float | None, int]]) -> bytes:
    """An MP4 file, its index at the end, whose first track is shown by these edits in place of its own.

    Args:
        edits: each a duration in seconds, where in the track it begins (None: nothing is shown), and its rate, by default 1.
    """
    start, end = _find(data, [b"moov"], 0, len(data))
    moov = data[start:end]

    def scale(*path: bytes) -> int:
        return int(struct.unpack_from(">I", moov, _find(moov, path, 8, len(moov))[0] + 20)[0])

    movie, media = scale(b"mvhd"), scale(b"trak", b"mdia", b"mdhd")
    first, last = _find(moov, [b"trak"], 8, len(moov))
    trak, origin = moov[first:last], 0
    try:  # the delay of reordered frames stays
        old, old_end = _find(trak, [b"edts"], 8, len(trak))
        origin = struct.unpack_from(">i", trak, old_end - 8)[0]
        trak = trak[:old] + trak[old_end:]
    except LookupError:
        pass
    table = struct.pack(">II", 0, len(edits))
    for duration, begin, *rate in edits:
        place = -1 if begin is None else origin + round(begin * media)
        table += struct.pack(">IihH", round(duration * movie), place, *(rate or [1]), 0)
    trak += box(b"edts", box(b"elst", table))
    moov = moov[:first] + box(b"trak", trak[8:]) + moov[last:]
    return data[:start] + box(b"moov", moov[8:]) + data[end:]


def without_index(data: bytes) -> bytes:
    """An AVI file without its index."""
    at = data.rindex(b"idx1")
    return data[:4] + struct.pack("<I", at - 8) + data[8:at]


def discontinuous(data: bytes) -> bytes:
    """Transport stream behind another: its first packet of every stream says that counters and clock begin anew."""
    packets, seen = [bytearray(data[i : i + 188]) for i in range(0, len(data), 188)], set()
    for packet in packets:
        number = (packet[1] & 0x1F) << 8 | packet[2]
        if number not in seen and packet[3] & 0x20 and packet[4]:
            packet[5] |= 0x80
        seen.add(number)
    return b"".join(packets)
