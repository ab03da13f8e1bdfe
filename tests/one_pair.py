"""Pairs by `make_pair`, one at a time, as arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fpg.pairs import make_pair


class OnePair(NamedTuple):
    """float32 [3, S, S], the mask [1, S, S]."""

    fake: np.ndarray
    real: np.ndarray
    source: np.ndarray
    mask: np.ndarray


FIELDS = OnePair._fields


def one_pair(*args: Any, **options: Any) -> OnePair:
    pairs = make_pair(*args, **options)
    assert len(pairs) == 1
    return OnePair(*(tensor[0].numpy() for tensor in pairs))
