"""Types of the compiled module. Written by scripts/make_stub.py: change csrc/*/bind.cpp, build, and run that."""

from collections.abc import Sequence
from typing import Any

INTERFACE: str
MASK_ITEM_BYTES: int
SELF_BLEND_ITEM_BYTES: int

class BuildInfo:
    @property
    def version(self) -> str: ...
    @property
    def compiler(self) -> str: ...
    @property
    def build_type(self) -> str: ...
    @property
    def cuda(self) -> bool: ...
    @property
    def cuda_version(self) -> str: ...
    @property
    def cuda_architectures(self) -> list[str]: ...
    def as_dict(self) -> dict[str, Any]: ...

class MaskChain:
    def __init__(
        self, items: int, count: int, limits: Sequence[int], amplitude: float, weights: Sequence[float], scratch: int, slots: int
    ) -> None: ...

class Ragged:
    def __init__(self, data: int, offsets: int, sizes: int, items: int, channels: int, max_height: int, max_width: int) -> None: ...

class Target:
    def __init__(self, cuda_device: int, stream: int, threads: int) -> None: ...

def blend(*, source: Ragged, background: Ragged, masks: Ragged, out: int, nearest: bool, target: Target) -> None: ...
def build_info() -> BuildInfo: ...
def change_color(*, images: Ragged, changes: int, out: int, target: Target) -> None: ...
def crop_resize(
    *, images: Sequence[Ragged], masks: Ragged | None, crops: int, out: Sequence[int], masks_out: int, side: int, target: Target
) -> None: ...
def cuda_status() -> tuple[int, str]: ...
def feather_masks(*, chain: MaskChain, masks: Ragged, out: Ragged, target: Target) -> None: ...
def jpeg_round_trip(*, images: Ragged, quality: int, planes: int, plane_offsets: int, target: Target) -> None: ...
def magnitude_step(
    *,
    source: tuple[int, tuple[int, int, int, int]],
    background: tuple[int, tuple[int, int, int, int]],
    fake: tuple[int, tuple[int, int, int, int]],
    mask: tuple[int, tuple[int, int, int, int]],
    votes: int,
    eps: float,
    out: tuple[int, tuple[int, int, int, int]],
    target: Target,
) -> None: ...
def magnitude_vote(
    *,
    gradient: tuple[int, tuple[int, int, int, int]],
    source: tuple[int, tuple[int, int, int, int]],
    background: tuple[int, tuple[int, int, int, int]],
    votes: int,
    target: Target,
) -> None: ...
def mask_scratch_bytes(limits: Sequence[int], amplitude: float, weights: Sequence[float]) -> int: ...
def perception_statistics(
    *,
    maps: int,
    masks: int,
    batch: int,
    height: int,
    width: int,
    threshold: int,
    dominant: int,
    masked: int,
    remaining: int,
    sum: int,
    positive: int,
    target: Target,
) -> None: ...
def resample(*, images: Ragged, windows: int, out: Ragged, out_windows: int, changes: int, target: Target) -> None: ...
def self_blend(
    *,
    windows: int,
    bytes: int,
    items: int,
    masks: MaskChain,
    out: Sequence[int],
    side: int,
    scratch: int,
    slots: int,
    nearest: bool,
    target: Target,
) -> None: ...
def self_blend_scratch_bytes(*, windows: int, bytes: int, items: int, masks: MaskChain) -> int: ...
def shrink(*, image: int, row_bytes: int, size: Sequence[int], out: int, out_row_bytes: int, out_size: Sequence[int]) -> None: ...
def soft_masks(*, chain: MaskChain, out: Ragged, target: Target) -> None: ...
def warp(*, images: Ragged, windows: int, out: Ragged, out_windows: int, affine: int, target: Target) -> None: ...
