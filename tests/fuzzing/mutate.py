"""Mutations: of bytes, and of JSON values where most broken bytes would only be no JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)
# fmt: off
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "a", "real", "\0", "\ud800", "../x", "/",
    "=1", "\u5f71" * 300, [], {}, [[]], {"a": 1}, [1, 2], [1, 1, 1], ["x"], "x" * 5000,
)
# fmt: on


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A changed copy: one to eight changes of bits, numbers and blocks, now and then a piece of another file."""
    if data[:1] in b"{[" and rng.random() < 0.6 and (changed := _json(data, rng)) is not None:
        return changed
    out = bytearray(data)
    for _ in range(1 << rng.randrange(4)):
        if not out:
            out += rng.randbytes(8)
        at = _place(len(out), rng)
        kind = rng.randrange(8)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.randrange(256)
        elif kind == 2:
            size = rng.choice((1, 2, 4, 8))
            value = rng.choice(_INTERESTING) & ((1 << 8 * size) - 1)
            out[at : at + size] = value.to_bytes(size, rng.choice(("big", "little")))
        elif kind == 3:
            del out[at : at + rng.randrange(1, 64)]
        elif kind == 4:
            block = out[at : at + rng.randrange(1, 64)]
            out[at:at] = block * rng.randrange(1, 4)
        elif kind == 5:
            out[at:at] = rng.randbytes(rng.randrange(1, 16))
        elif kind == 6 and rng.random() < 0.3:
            del out[at:]
        elif others:
            other = rng.choice(others)
            start = rng.randrange(len(other) or 1)
            out[at : at + rng.randrange(64)] = other[start : start + rng.randrange(1, 256)]
    return bytes(out)


def _place(size: int, rng: random.Random) -> int:
    """Somewhere, headers more often than the rest."""
    return min(size - 1, rng.randrange(min(size, 128)) if rng.random() < 0.5 else rng.randrange(size))


def _json(data: bytes, rng: random.Random) -> bytes | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(1 << rng.randrange(3)):
        value = _changed(value, rng)
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b"[" * 5000


def _changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        kind = rng.random()
        if kind < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if kind < 0.2:
            return {**value, str(rng.choice(_VALUES))[:50]: value[key]}
        return {**value, key: _changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    if rng.random() < 0.05:
        for _ in range(rng.choice((50, 150, 3000))):
            value = [value]
            if rng.random() < 0.001:
                break
        return value if rng.random() < 0.2 else [value]
    return rng.choice(_VALUES)
