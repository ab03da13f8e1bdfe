"""Everything random about a pair, drawn before the image is seen (METHOD 2; SBI, CVPR 2022, as FPG uses it).

`draw_pair` consumes the same draws whatever their outcome, so that one generator state means one pair. Draws are free of the image's
size: translations are fractions, the elastic field is a key of a counter-based generator. `batch.SelfBlend` applies them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from fpg.common.crops import EVALUATION_DRAW
from fpg.common.landmarks import HULL_FAMILIES
from fpg.common.rng import odd_integer
from fpg.pairs.checks import check_section
from fpg.pairs.degrade import DegradeConfig, DegradeParams, draw_degradation
from fpg.pairs.distract import DistractConfig, DistractParams, draw_distractors
from fpg.pairs.donor import DonorConfig, DonorParams, draw_donor
from fpg.pairs.part import PartConfig, PartParams, draw_part
from fpg.pairs.poisson import PoissonConfig, draw_poisson
from fpg.pairs.retexture import RetextureConfig, RetextureParams, draw_retexture

Copy = Literal["source", "background"]
BlendRounding = Literal["released", "nearest"]

FEATHER_SIZE = (192, 256)
"""Smallest and largest height and width at which masks are blurred, pixels; here and in shape refinement."""
FINISHING = ("donor", "retexture", "poisson", "distract", "degrade")
"""Sections of `AugmentConfig` that change finished pairs, in the order in which they do."""


@dataclass(frozen=True)
class AugmentConfig:
    """Every constant of METHOD section 2. Ranges include both ends; probabilities are of the step being done."""

    # 1. mirror
    mirror_probability: float = 0.5
    """Chance of mirroring the face."""
    # 3. mask
    only_68_probability: float = 0.25
    """Chance of leaving the forehead points out."""
    families: tuple[str, ...] = HULL_FAMILIES
    """Hull families, drawn uniformly."""
    # 4. colour of one of the two copies
    recolor_source_probability: float = 0.5
    """Chance that the source is recoloured; otherwise the background is."""
    rgb_shift: int = 20
    """Largest shift per channel, of 255, integer; for the copy and for all three (METHOD 2.4 and 2.8)."""
    rgb_shift_probability: float = 0.3
    """Chance of the RGB shift; for the copy and for all three."""
    hsv_shift: float = 0.3
    """Largest shift of hue (of 180), saturation and value (of 255); in uint8 a change of 0 or -1; for the copy and for all three."""
    copy_hsv_probability: float = 1.0
    """Chance of the HSV shift of the copy."""
    copy_contrast: float = 0.1
    """a of v -> a v + 255 b lies within 1 +- this, for the copy."""
    copy_brightness: float = 0.1
    """b lies within +- this, for the copy."""
    copy_contrast_probability: float = 1.0
    """Chance of the change of contrast and brightness of the copy."""
    sharpen_probability: float = 0.5
    """Chance that the copy is sharpened; otherwise it is scaled down and up again."""
    down_scales: tuple[int, ...] = (2, 4)
    """Factors of that scaling, drawn uniformly."""
    sharpen_amount: tuple[float, float] = (0.2, 0.5)
    """Range of t, the fraction of the sharpened image."""
    sharpen_lightness: tuple[float, float] = (0.5, 1.0)
    """Range of l; the centre of the sharpening kernel is 8 + l."""
    # 5. geometry of source and mask
    scale: tuple[float, float] = (0.95, 1 / 0.95)
    """Range of the scales of x and y, drawn separately."""
    translate_x: float = 0.03
    """Largest shift as a fraction of the width."""
    translate_y: float = 0.015
    """Largest shift as a fraction of the height."""
    elastic_alpha: float = 50.0
    """The mask moves by this many pixels x smoothed noise in [-1, 1]."""
    elastic_sigma: float = 7.0
    """Standard deviation of that smoothing, in pixels."""
    # 6. feathering
    feather_size: tuple[int, int] = FEATHER_SIZE
    """Range of the height and width at which the mask is blurred."""
    feather_kernel: tuple[int, int] = (5, 25)
    """Range of both blur kernels, odd."""
    feather_sigma: tuple[int, int] = (5, 45)
    """Range of the standard deviation of the second blur, integer."""
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
    """Strengths of the blend, drawn uniformly."""
    # 7. blend
    blend_rounding: BlendRounding = "released"
    """How a blend becomes uint8: truncated as in the released code, which darkens forgeries by up to a level, or to the nearest level"""
    # 8. the photometric change that forgery, background and source share
    shared_hsv_probability: float = 0.3
    """Chance of the HSV shift of all three."""
    shared_contrast: float = 0.3
    """a lies within 1 +- this, for all three."""
    shared_brightness: float = 0.3
    """b lies within +- this, for all three."""
    shared_contrast_probability: float = 0.3
    """Chance of the change of contrast and brightness of all three."""
    jpeg_quality: tuple[int, int] = (40, 100)
    """Range of the JPEG quality, integer."""
    jpeg_probability: float = 0.5
    """Chance of JPEG compression."""
    part: PartConfig = field(default_factory=PartConfig)
    """Masks of a part of the face; not part of the method"""
    donor: DonorConfig = field(default_factory=DonorConfig)
    """Another person's face as the source; not part of the method"""
    retexture: RetextureConfig = field(default_factory=RetextureConfig)
    """The source with the texture of a generated face; not part of the method"""
    poisson: PoissonConfig = field(default_factory=PoissonConfig)
    """Blending in the gradient domain instead of by the soft mask; not part of the method"""
    distract: DistractConfig = field(default_factory=DistractConfig)
    """Changes next to the face, in real face and forgery alike, that are not forgery; not part of the method"""
    degrade: DegradeConfig = field(default_factory=DegradeConfig)
    """Degradation of real face and forgery alike after the pair is made: scaling, blur, noise, video encoding; not part of the method"""

    @property
    def finishing(self) -> bool:
        """Whether finished pairs are changed, which encoders and filters on the CPU do."""
        return any(getattr(self, step).probability > 0 for step in FINISHING)

    def __post_init__(self) -> None:
        """Refuse values that no pair can be made with.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        require = check_section("augment", self)
        for name in ("rgb_shift", "hsv_shift", "copy_contrast", "copy_brightness", "shared_contrast", "shared_brightness", "elastic_alpha"):
            require(getattr(self, name) >= 0, name, "at least 0")
        require(self.families != () and set(self.families) <= set(HULL_FAMILIES), "families", f"some of {', '.join(HULL_FAMILIES)}")
        require(self.down_scales != () and min(self.down_scales) >= 1, "down_scales", "factors of at least 1")
        require(self.ratios != () and 0 <= min(self.ratios) <= max(self.ratios) <= 1, "ratios", "some in [0, 1]")
        require(self.scale[0] > 0, "scale", "more than 0")
        require(0 < self.elastic_sigma <= 32, "elastic_sigma", "more than 0 and at most 32")
        require(self.feather_size[0] >= 1, "feather_size", "at least 1")
        require(all(k % 2 == 1 and 0 < k <= 65 for k in self.feather_kernel), "feather_kernel", "odd numbers up to 65")
        require(self.feather_sigma[0] >= 1, "feather_sigma", "at least 1")
        require(self.blend_rounding in get_args(BlendRounding), "blend_rounding", " or ".join(get_args(BlendRounding)))
        require(self.jpeg_quality[0] >= 0 and self.jpeg_quality[1] <= 100, "jpeg_quality", "within 0..100")


@dataclass(frozen=True)
class ColorParams:
    """A pointwise change of colour; None where a step is not done."""

    rgb_shift: tuple[int, int, int] | None
    """Red, green, blue, in units of 1/255."""
    hsv_shift: tuple[float, float, float] | None
    """Hue (of 180), saturation and value (of 255)."""
    contrast: tuple[float, float] | None
    """(a, b) of v -> a v + 255 b."""


@dataclass(frozen=True)
class ResampleParams:
    """Either down-scaling and back, or sharpening: exactly one is not None."""

    down_scale: int | None
    sharpen: tuple[float, float] | None
    """(t, l): amount and lightness."""


@dataclass(frozen=True)
class GeometryParams:
    """p' = c + S (p - c) + t for source and mask, then the elastic field for the mask."""

    scale: tuple[float, float]
    """S for x and y."""
    translate: tuple[float, float]
    """t for x and y, as a fraction of width and height."""
    noise_key: int
    """64-bit Philox key of the elastic field's noise."""


@dataclass(frozen=True)
class FeatherParams:
    """The draws of one feathering; see `fpg.ops.feathering.feather`."""

    height: int
    width: int
    k1: int
    k2: int
    sigma: int


@dataclass(frozen=True)
class PairParams:
    """All draws of one pair, in the order of METHOD section 2."""

    mirror: bool
    points: int
    """81, or 68 to leave the forehead out."""
    family: str
    """Of `fpg.common.landmarks.HULL_FAMILIES`; of the points of `part` where there is one."""
    recolored: Copy
    """Which copy `color` and `resample` change."""
    color: ColorParams
    resample: ResampleParams
    geometry: GeometryParams
    feather: FeatherParams
    ratio: float
    """The soft mask is multiplied by it."""
    photometric: ColorParams
    """The same for forgery, background and source."""
    jpeg_quality: int | None
    crop: tuple[float, float, float, float]
    """u of the margins left, right, top, bottom of the detection crop."""
    donor: DonorParams | None = None
    """Another face takes the place of the source, after the detection crop."""
    retexture: RetextureParams | None = None
    """Of the source, after the detection crop."""
    degradation: DegradeParams | None = None
    """The same for forgery, background and source, last of all."""
    part: PartParams | None = None
    """The mask covers it, not the face."""
    poisson: bool = False
    """The source is blended by gradients, after donor and retexture."""
    distractors: DistractParams | None = None
    """The same for forgery, background and source, before the degradation."""

    @property
    def finishing(self) -> bool:
        """Whether anything is to be done with the finished pair."""
        return self.poisson or any(step is not None for step in (self.donor, self.retexture, self.distractors, self.degradation))


def draw_pair(rng: np.random.Generator, config: AugmentConfig | None = None, *, training: bool = True) -> PairParams:
    """Draw one pair.

    Args:
        rng: its own generator, e.g. `stream(seed, "pair", epoch, sample)`.
        config: the method's constants by default.
        training: False for validation pairs: not mirrored, and the evaluation crop's margins. The other draws are the same.
    """
    c = config or AugmentConfig()
    mirror = _coin(rng, c.mirror_probability)
    points = 68 if _coin(rng, c.only_68_probability) else 81
    family = c.families[int(rng.integers(len(c.families)))]
    recolored: Copy = "source" if _coin(rng, c.recolor_source_probability) else "background"
    color = _draw_color(rng, c, c.copy_hsv_probability, c.copy_contrast_probability, c.copy_contrast, c.copy_brightness)
    resample = _draw_resample(rng, c)
    geometry = GeometryParams(
        scale=(float(rng.uniform(*c.scale)), float(rng.uniform(*c.scale))),
        translate=(_around_zero(rng, c.translate_x), _around_zero(rng, c.translate_y)),
        noise_key=int(rng.integers(1 << 64, dtype=np.uint64)),
    )
    feather = FeatherParams(
        height=_integer(rng, c.feather_size),
        width=_integer(rng, c.feather_size),
        k1=odd_integer(rng, *c.feather_kernel),
        k2=odd_integer(rng, *c.feather_kernel),
        sigma=_integer(rng, c.feather_sigma),
    )
    ratio = c.ratios[int(rng.integers(len(c.ratios)))]
    photometric = _draw_color(rng, c, c.shared_hsv_probability, c.shared_contrast_probability, c.shared_contrast, c.shared_brightness)
    compress, quality = _coin(rng, c.jpeg_probability), _integer(rng, c.jpeg_quality)
    left, right, top, bottom = (float(u) for u in rng.random(4))
    donor = draw_donor(rng, c.donor) if c.donor.probability else None
    retexture = draw_retexture(rng, c.retexture) if c.retexture.probability else None
    degradation = draw_degradation(rng, c.degrade) if c.degrade.probability else None
    part = draw_part(rng, c.part) if c.part.probability else None
    return PairParams(
        mirror=mirror and training,
        points=points if part is None else 81,
        family=family if part is None else "facehull",
        recolored=recolored,
        color=color,
        resample=resample,
        geometry=geometry,
        feather=feather if part is None else replace(feather, k1=part.k1),
        ratio=ratio,
        photometric=photometric,
        jpeg_quality=quality if compress else None,
        crop=(left, right, top, bottom) if training else EVALUATION_DRAW,
        donor=donor,
        retexture=retexture,
        degradation=degradation,
        part=part,
        poisson=draw_poisson(rng, c.poisson) if c.poisson.probability else False,
        distractors=draw_distractors(rng, c.distract) if c.distract.probability else None,
    )


def _draw_color(
    rng: np.random.Generator, c: AugmentConfig, hsv_probability: float, contrast_probability: float, contrast: float, brightness: float
) -> ColorParams:
    rgb_coin, hsv_coin, contrast_coin = rng.random(3).tolist()
    red, green, blue = rng.integers(-c.rgb_shift, c.rgb_shift + 1, 3).tolist()
    hue, saturation, value = rng.uniform(-c.hsv_shift, c.hsv_shift, 3).tolist()
    a, b = 1 + _around_zero(rng, contrast), _around_zero(rng, brightness)
    return ColorParams(
        rgb_shift=(red, green, blue) if rgb_coin < c.rgb_shift_probability else None,
        hsv_shift=(hue, saturation, value) if hsv_coin < hsv_probability else None,
        contrast=(a, b) if contrast_coin < contrast_probability else None,
    )


def _draw_resample(rng: np.random.Generator, c: AugmentConfig) -> ResampleParams:
    sharpen = _coin(rng, c.sharpen_probability)
    factor = c.down_scales[int(rng.integers(len(c.down_scales)))]
    amount, lightness = float(rng.uniform(*c.sharpen_amount)), float(rng.uniform(*c.sharpen_lightness))
    return ResampleParams(None, (amount, lightness)) if sharpen else ResampleParams(factor, None)


def _coin(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _integer(rng: np.random.Generator, bounds: tuple[int, int]) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))


def _around_zero(rng: np.random.Generator, limit: float) -> float:
    return float(rng.uniform(-limit, limit))
