"""The counter-based generator: known answers, plain-integer reference, statistics of the noise."""

from __future__ import annotations

import numpy as np
import pytest

from fpg.common.philox import noise_field, philox4x32


def plain(counter: list[int], key: int) -> list[int]:
    """Philox-4x32-10 in plain integers (Salmon et al., SC 2011)."""
    mask = 0xFFFFFFFF
    c, k = list(counter), [key & mask, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & mask, a >> 32 ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the generator's published known answers
        ([0, 0, 0, 0], 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, 0xFFFFFFFFFFFFFFFF, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], 0x299F31D0A4093822, [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ],
)
def test_known_answers(counter: list[int], key: int, expected: list[int]) -> None:
    assert plain(counter, key) == expected
    assert philox4x32(np.array(counter, np.uint32), key).tolist() == expected


def test_noise_field() -> None:
    key = 0xFEDCBA9876543210
    field = noise_field(key, (0, 9), (0, 70))
    assert field.shape == (9, 70, 2)
    assert field.dtype == np.float32
    for y, x in [(0, 0), (0, 1), (3, 7), (8, 12), (5, 31), (2, 69)]:
        word = plain([8 * (x // 32) + x % 8, y, 0, 0], key)[x % 32 // 8]
        assert field[y, x].tolist() == [((word & 0xFFFF) + 0.5) / 2**15 - 1, ((word >> 16) + 0.5) / 2**15 - 1]
    np.testing.assert_array_equal(noise_field(key, (5, 8), (33, 41)), field[5:8, 33:41])
    large = noise_field(1, (0, 300), (0, 300))
    assert -1 < large.min() < -0.999
    assert 0.999 < large.max() < 1
    assert abs(large.mean()) < 0.01
    assert abs(large.var() - 1 / 3) < 0.01
    assert abs(np.corrcoef(large[..., 0].ravel(), large[..., 1].ravel())[0, 1]) < 0.02
