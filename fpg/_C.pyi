"""Types of the compiled module (csrc/python/module.cpp)."""

from typing import TypedDict

class BuildInfo(TypedDict):
    version: str
    compiler: str
    build_type: str
    cuda: bool
    cuda_version: str
    cuda_architectures: list[str]

def build_info() -> BuildInfo: ...
def cuda_device_count() -> int: ...
def cuda_status() -> tuple[int, str]: ...
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
    cuda_device: int = -1,
    stream: int = 0,
    threads: int = 1,
) -> None: ...

class Ragged:
    def __init__(self, data: int, offsets: int, sizes: int, items: int, channels: int, max_height: int, max_width: int) -> None: ...

class Target:
    def __init__(self, cuda_device: int, stream: int, threads: int) -> None: ...

def jpeg_round_trip(*, images: Ragged, quality: int, planes: int, plane_offsets: int, target: Target) -> None: ...

Dense = tuple[int, tuple[int, int, int, int]]  # data, shape

def change_color(*, images: Ragged, changes: int, out: int, target: Target) -> None: ...
def resample(
    *,
    images: Ragged,
    windows: int,
    out: Ragged,
    out_windows: int,
    changes: int,
    target: Target,
) -> None: ...
def warp(
    *,
    images: Ragged,
    windows: int,
    out: Ragged,
    out_windows: int,
    affine: int,
    target: Target,
) -> None: ...
def blend(
    *,
    source: Ragged,
    background: Ragged,
    masks: Ragged,
    out: int,
    target: Target,
) -> None: ...
def reblend(
    *,
    source: Dense,
    background: Dense,
    mask: Dense,
    out: Dense,
    target: Target,
) -> None: ...
def reblend_backward(
    *,
    gradient: Dense,
    source: Dense,
    background: Dense,
    mask: Dense,
    source_gradient: Dense,
    background_gradient: Dense,
    mask_gradient: Dense,
    target: Target,
) -> None: ...
def magnitude_vote(
    *,
    gradient: Dense,
    source: Dense,
    background: Dense,
    votes: int,
    target: Target,
) -> None: ...
def magnitude_step(
    *,
    source: Dense,
    background: Dense,
    fake: Dense,
    mask: Dense,
    votes: int,
    eps: float,
    out: Dense,
    target: Target,
) -> None: ...
def crop_resize(
    *,
    images: list[Ragged],
    masks: Ragged | None,
    crops: int,
    out: list[int],
    masks_out: int,
    side: int,
    target: Target,
) -> None: ...

MASK_ITEM_BYTES: int

def mask_scratch_bytes(limits: list[int], amplitude: float, weights: list[float]) -> int: ...

class MaskChain:
    def __init__(
        self, items: int, count: int, limits: list[int], amplitude: float, weights: list[float], scratch: int, slots: int
    ) -> None: ...

def face_masks(*, chain: MaskChain, out: Ragged, target: Target) -> None: ...
def warp_masks(*, chain: MaskChain, masks: Ragged, out: Ragged, target: Target) -> None: ...
def feather_masks(*, chain: MaskChain, masks: Ragged, out: Ragged, target: Target) -> None: ...
def soft_masks(*, chain: MaskChain, out: Ragged, target: Target) -> None: ...

SELF_BLEND_ITEM_BYTES: int

def self_blend_scratch_bytes(*, windows: int, bytes: int, items: int, masks: MaskChain) -> int: ...
def self_blend(
    *,
    windows: int,
    bytes: int,
    items: int,
    masks: MaskChain,
    out: list[int],
    side: int,
    scratch: int,
    slots: int,
    target: Target,
) -> None: ...
