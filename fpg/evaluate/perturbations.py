"""What happens to a video on its way to a detector: eleven perturbations of whole frames, three chains, an attack; five levels each.

Seven are the field's, with the levels and arithmetic of DeeperForensics-1.0 (Jiang et al., CVPR 2020, supplementary material and
its published perturbation code): saturation, contrast, blocks, noise, blur, pixelation, compression. The others are what
platforms do today: JPEG, smaller frames, H.264 and H.265. Chains (`fpg.evaluate.chain_steps`) are several of such things after one another.
`docs/robustness.md` holds the definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.evaluate.chain_steps import MESSENGER, SCREEN_RECORDING, SCREENSHOT, Step, apply_steps

LEVELS = 5
QUICK_LEVELS = (1, 3, 5)
BLOCK = 8
"""Side of a grey block in pixels."""
GREY = 128

_SPAN = np.array([219, 224, 224], np.float32)

Function = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Perturbation:
    """One kind of perturbation."""

    name: str
    title: str
    parameter: str
    """What the numbers of the levels are."""
    levels: tuple[float, ...]
    """The parameter at levels 1 (weakest) to 5."""
    apply: Function | None = None
    """uint8 [H, W, 3] RGB, parameter, generator -> uint8 [H', W', 3]; None for a codec, which needs the whole video."""
    codec: str = ""
    """FFmpeg's name of the encoder; the parameter is its CRF."""
    code: str = ""
    """The name in DeeperForensics-1.0, empty for the others."""
    chain: tuple[Step, ...] = ()
    """Steps instead of one function or codec; the parameter is the level."""
    attack: bool = False
    """Not of frames, but of the network's input (`fpg.evaluate.attack`); the parameter is the budget."""

    @property
    def published(self) -> bool:
        """One of the field's seven."""
        return bool(self.code)

    @property
    def codecs(self) -> tuple[str, ...]:
        """Encoders that it needs; without any, single frames are enough."""
        return tuple(filter(None, (self.codec, *(step.codec for step in self.chain))))


@dataclass(frozen=True)
class Cell:
    """One perturbation at one level, 1 to 5."""

    perturbation: Perturbation
    level: int

    @property
    def parameter(self) -> float:
        """Of this level."""
        return self.perturbation.levels[self.level - 1]

    @property
    def text(self) -> str:
        """For example `blur 3 (kernel 13)`."""
        return f"{self.perturbation.name} {self.level} ({self.perturbation.parameter} {self.parameter:g})"


def saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Colour saturation: both chroma components drawn towards 0.5 of their scale.

    Args:
        image: uint8 [H, W, 3] RGB.
        factor: of the chroma, 0 to 1; 0 leaves grey.
    """
    ycbcr = _to_ycbcr(image)
    ycbcr[..., 1:] = 0.5 + (ycbcr[..., 1:] - 0.5) * np.float32(factor)
    return _to_rgb(ycbcr)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Colour contrast: every value times `factor`, fractions dropped; uint8 [H, W, 3] to the same."""
    return (image.astype(np.float32) * np.float32(factor)).astype(np.uint8)


def grey_blocks(image: np.ndarray, number: float, rng: np.random.Generator) -> np.ndarray:
    """Local blocks: grey squares of 8 x 8 pixels, `number` for each whole 256 pixels of the shorter side, anywhere.

    A frame with a side below 256 pixels gets none.

    Args:
        image: uint8 [H, W, 3].
        number: 16 to 80.
        rng: draws x in [0, W - 9] and y in [0, H - 9] for one block after the other.
    """
    height, width = image.shape[:2]
    count = min(height, width) // 256 * int(number)
    result = image.copy()
    if count:
        for x, y in rng.integers(0, (width - BLOCK, height - BLOCK), size=(count, 2)):
            result[y : y + BLOCK, x : x + BLOCK] = GREY
    return result


def noise(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """White Gaussian noise in Y, Cb and Cr (`_to_ycbcr`), of which 255 count as 1: sigma is 255^2 / 219 x sqrt(variance) levels of luma.

    Args:
        image: uint8 [H, W, 3] RGB.
        variance: on that scale.
        rng: draws float32 standard normals by rows, columns, then (Y, Cb, Cr).
    """
    ycbcr = _to_ycbcr(image)
    ycbcr += rng.standard_normal(ycbcr.shape, np.float32) * np.float32(255 * variance**0.5)
    return _to_rgb(ycbcr)


def blur(image: np.ndarray, kernel: float) -> np.ndarray:
    """Gaussian blur with a kernel of `kernel` x `kernel` (odd) and sigma = kernel / 6; the border is mirrored without its edge pixel."""
    size = int(kernel)
    return np.asarray(cv2.GaussianBlur(image, (size, size), size / 6))


def pixelation(image: np.ndarray, factor: float) -> np.ndarray:
    """Down by an integer factor (sizes rounded down) and back up, both bilinear at pixel centres, without a filter against aliasing."""
    height, width = image.shape[:2]
    small = (max(1, width // int(factor)), max(1, height // int(factor)))
    return np.asarray(cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_LINEAR), (width, height), interpolation=cv2.INTER_LINEAR))


def jpeg(image: np.ndarray, quality: float) -> np.ndarray:
    """Through baseline JPEG with the standard tables at `quality` (1 to 100) and 4:2:0 chroma; uint8 [H, W, 3] RGB to the same."""
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded a line above
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def resize(image: np.ndarray, factor: float) -> np.ndarray:
    """A smaller frame, not enlarged again: sides times `factor`, rounded half up, at least 1; a pixel is the mean of the area it covers."""
    height, width = image.shape[:2]
    size = (max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _to_ycbcr(image: np.ndarray) -> np.ndarray:
    """float32 [H, W, 3]: (219 Y + 16) / 255, (224 Cb + 16) / 255, (224 Cr + 16) / 255.

    Y is the BT.601 luma in levels of 0 to 255, Cb = 0.564 (B - Y) + 0.5, Cr = 0.713 (R - Y) + 0.5. That is the published arithmetic,
    which takes levels where values of 0 to 1 are meant: results reach 219, not 1, and grey has a chroma of about 0.5 all the same.
    """
    ycrcb = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2YCrCb)
    ycbcr = np.asarray(ycrcb, np.float32)[..., (0, 2, 1)]
    return np.asarray((ycbcr * _SPAN + np.float32(16)) / np.float32(255))


def _to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    """The inverse, to uint8: clipped, fractions dropped."""
    scaled = (ycbcr * np.float32(255) - np.float32(16)) / _SPAN
    rgb = cv2.cvtColor(np.ascontiguousarray(scaled[..., (0, 2, 1)]), cv2.COLOR_YCrCb2RGB)
    return np.clip(rgb, 0, 255).astype(np.uint8)


def _plain(function: Callable[[np.ndarray, float], np.ndarray]) -> Function:
    return lambda image, parameter, _: function(image, parameter)


ALL = (
    Perturbation("saturation", "Colour saturation", "factor", (0.4, 0.3, 0.2, 0.1, 0.0), _plain(saturation), code="CS"),
    Perturbation("contrast", "Colour contrast", "factor", (0.85, 0.725, 0.6, 0.475, 0.35), _plain(contrast), code="CC"),
    Perturbation("blocks", "Local blocks", "per 256 px", (16, 32, 48, 64, 80), grey_blocks, code="BW"),
    Perturbation("noise", "Gaussian noise", "variance", (0.001, 0.002, 0.005, 0.01, 0.05), noise, code="GNC"),
    Perturbation("blur", "Gaussian blur", "kernel", (7, 9, 13, 17, 21), _plain(blur), code="GB"),
    Perturbation("pixelation", "Pixelation", "factor", (2, 3, 4, 5, 6), _plain(pixelation), code="JPEG"),
    Perturbation("compression", "Video compression", "CRF", (30, 32, 35, 38, 40), codec="libx264", code="VC"),
    Perturbation("jpeg", "JPEG", "quality", (90, 70, 50, 30, 10), _plain(jpeg)),
    Perturbation("resize", "Smaller frames", "factor", (0.75, 0.5, 0.375, 0.25, 0.125), _plain(resize)),
    Perturbation("h264", "H.264", "CRF", (23, 28, 33, 38, 43), codec="libx264"),
    Perturbation("h265", "H.265", "CRF", (28, 33, 38, 43, 48), codec="libx265"),
)
"""Every perturbation of one kind; the published ones first. `compression` is H.264 too, at the published levels."""
_LEVEL_NUMBERS = (1.0, 2.0, 3.0, 4.0, 5.0)
CHAINS = (
    Perturbation("messenger", "Messengers and platforms", "strength", _LEVEL_NUMBERS, chain=MESSENGER),
    Perturbation("screenshot", "Screenshot", "strength", _LEVEL_NUMBERS, chain=SCREENSHOT),
    Perturbation("screen_recording", "Filmed screen", "strength", _LEVEL_NUMBERS, chain=SCREEN_RECORDING),
)
ATTACK = Perturbation("attack", "Gradient attack (white box)", "levels of 255", (1, 2, 3, 4, 8), attack=True)
"""To test one's own detector; runs only where it is named."""
BY_NAME = {p.name: p for p in (*ALL, *CHAINS, ATTACK)}


def perturb(image: np.ndarray, cell: Cell, seed: int, video: str, index: int) -> np.ndarray:
    """One frame, perturbed.

    The draws are keyed by seed, perturbation, video and frame, not by level: a stronger level has the blocks of the weaker one and
    more, and the same noise enlarged, so that levels differ by their strength alone.

    Args:
        image: uint8 [H, W, 3] RGB; not changed.
        cell: a perturbation of frames, no codec.
        seed: of the run.
        video: the video's key.
        index: of the frame.

    Returns:
        uint8 [H, W, 3], other sides for `resize`.

    Raises:
        ValueError: not such an image, or a codec.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image: expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
    if cell.perturbation.chain and not cell.perturbation.codecs:
        return apply_steps(cell.perturbation.chain, cell.level, image, seed, cell.perturbation.name, video, index)
    if cell.perturbation.apply is None:
        raise ValueError(f"{cell.perturbation.name} needs a whole video: see fpg.evaluate.codecs")
    rng = stream(seed, "perturbation", cell.perturbation.name, video, index)
    return cell.perturbation.apply(image, cell.parameter, rng)


def select(names: str, *, quick: bool = False) -> list[Cell]:
    """The cells of a selection.

    Args:
        names: `all` (but the attack), `field` (the seven published ones), `chains`, or names with commas between them; also the published
            codes CS, CC, BW, GNC, GB and VC (its "JPEG" is `pixelation` here: no JPEG is involved).
        quick: levels 1, 3 and 5 only.

    Raises:
        UsageError: an unknown or missing name.
    """
    wanted: list[Perturbation] = []
    for name in (part.strip() for part in names.split(",")):
        found = _group(name.lower())
        if not found:
            raise UsageError(f"robustness: expected all, field, chains, quick or some of {', '.join(BY_NAME)}; got {name or 'nothing'}")
        wanted += [p for p in found if p not in wanted]
    return [Cell(p, level) for p in wanted for level in (QUICK_LEVELS if quick else range(1, LEVELS + 1))]


def _group(name: str) -> Sequence[Perturbation]:
    if name in ("all", "field"):
        return [p for p in (*ALL, *CHAINS) if name == "all" or p.published]
    if name == "chains":
        return CHAINS
    if name in BY_NAME:
        return [BY_NAME[name]]
    return [p for p in ALL if p.published and p.code.lower() == name]
