"""Making a pair with OpenCV and NumPy, one face at a time (METHOD 2; SBI, CVPR 2022, as FPG uses it): the reference of the kernels, and
what makes pairs where they are not built.

Images stay uint8 from step to step, as in the released method; the mask is uint8 {0, 1} up to its feathering and float32 after it.
Rounding: pointwise steps are tables of 256 entries, clipped and then **truncated** to uint8 (as albumentations builds them); the
convolution and the resizes round to nearest, as OpenCV does.

Hulls are of dlib's 68 points, "right" and "left" are the person's. Landmarks are truncated to integers before rasterising; a pixel that
a hull's outline touches belongs to the hull (`cv2.fillConvexPoly`).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from fpg.common.codec import compress_jpeg
from fpg.common.crops import network_input
from fpg.common.landmarks import HULL_FAMILIES, integer_landmarks
from fpg.common.philox import noise_field
from fpg.ops.feathering import feather
from fpg.ops.mask_table import elastic_blur
from fpg.pairs.donor import DonorFace
from fpg.pairs.draws import AugmentConfig, BlendRounding, ColorParams, PairParams, ResampleParams
from fpg.pairs.finish import finish_pair
from fpg.pairs.geometry import affine_matrix
from fpg.pairs.pairs import Pairs
from fpg.pairs.plan import PairPlan, cut_context, plan_pair

_LEVELS = np.arange(256, dtype=np.float32)


def _span(*parts: int | tuple[int, int]) -> list[int]:
    """Indices from single points and inclusive ranges."""
    return [i for part in parts for i in (range(part[0], part[1] + 1) if isinstance(part, tuple) else (part,))]


DFL_FULL = (
    _span((0, 16), (48, 67), 0, 8, 16),  # jaw
    _span((27, 30), 33),  # nose
    _span((17, 26), 0, 27, 16, 33),  # eyes
)
COMPONENTS = (
    _span((0, 8), 17),  # right jaw
    _span((8, 16), 26),  # left jaw
    _span((17, 19), 8),  # right cheek
    _span((24, 26), 8),  # left cheek
    _span((19, 24), 8),  # nose ridge
    _span((17, 21), (27, 30), (31, 35), 8),  # right eye
    _span((22, 26), (27, 30), (31, 35), 8),  # left eye
    _span((27, 30), (31, 35)),  # nose
)


def make_pair(
    image: np.ndarray, landmarks: np.ndarray, box: np.ndarray, params: PairParams, config: AugmentConfig | None = None, size: int = 380
) -> Pairs:
    """Make the pair that `params` describe: one, on the CPU.

    Args:
        image: uint8 [H, W, 3], RGB: a frame, or the context crop that preparation stored. Mirroring happens inside it. The context crop is
            taken again; of a stored crop that is the crop itself, up to a pixel where its bounds are whole numbers.
        landmarks: [68 or 81, 2], (x, y) in pixels of `image`.
        box: face box (x0, y0, x1, y1) in pixels of `image`.
        params: from `draw_pair`.
        config: the method's constants by default; only the elastic field's two and the rounding are used here.
        size: S, in pixels.

    Raises:
        ValueError: not such an image, landmarks or box; the message says which and why.
    """
    if size < 1:
        raise ValueError(f"size: expected at least 1 pixel, got {size}")
    plan = plan_pair(image, landmarks, box, params)
    return make_planned(cut_context(image, plan), plan, config or AugmentConfig(), size)


def make_planned(image: np.ndarray, plan: PairPlan, config: AugmentConfig, size: int, donor: DonorFace | None = None) -> Pairs:
    """Steps 3 to 9 of a planned pair.

    Args:
        image: uint8 [H, W, 3], the context crop as `cut_context` gives it. Pixels outside `plan.window` may have any value.
        config: only the elastic field's two constants and the rounding are used.
        size: S, in pixels.
        donor: the other face, where the draws want one.
    """
    copies = make_copies(image, plan.outline, plan.params, config)  # 3 to 6
    source, background, mask = (x[plan.coded.slices] for x in copies)
    fake, real, copy = (  # 7 and 8, of which only the surroundings of the detection crop are computed
        network_input(change_photometry(part, plan.params), plan.crop, size)
        for part in (blend(source, background, mask, config.blend_rounding), background, source)
    )
    soft = cv2.resize(mask[plan.crop.slices], (size, size), interpolation=cv2.INTER_LINEAR)  # 9
    soft = np.clip(soft, 0, 1)[None]
    images = finish_pair(fake, real, copy, soft, plan, donor)
    return Pairs(*(torch.from_numpy(np.ascontiguousarray(x))[None] for x in images))


def make_copies(
    image: np.ndarray, landmarks: np.ndarray, params: PairParams, config: AugmentConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps 3 to 6 on a context crop: mask, colour, geometry, feathering.

    Args:
        image: uint8 [H, W, 3].
        landmarks: of the mask, [68 or 81, 2], in its pixels.

    Returns:
        source and background, uint8 [H, W, 3]; soft mask, float32 [H, W] in [0, 1].
    """
    height, width = image.shape[:2]
    mask = face_mask(landmarks, params.family, height, width, params.points)  # 3
    recolored = resample(change_color(image, params.color), params.resample)  # 4
    source, background = (recolored, image) if params.recolored == "source" else (image, recolored)
    matrix = affine_matrix(params.geometry, height, width)  # 5
    source, mask = warp_image(source, matrix), warp_mask(mask, matrix)
    mask = deform_mask(mask, params.geometry.noise_key, config.elastic_alpha, config.elastic_sigma)
    drawn = params.feather  # 6
    soft = feather(mask, drawn.height, drawn.width, drawn.k1, drawn.k2, drawn.sigma) * np.float32(params.ratio)
    return source, background, soft


def face_mask(landmarks: np.ndarray, family: str, height: int, width: int, points: int = 81) -> np.ndarray:
    """The hard mask of a face.

    Args:
        landmarks: float [68 or 81, 2], (x, y) in pixels; may lie outside the image.
        family: one of `HULL_FAMILIES`.
        height, width: of the image, in pixels.
        points: 81 to use the forehead where there is one, 68 to leave it out. Only *facehull* looks at the forehead.

    Returns:
        uint8 [height, width], values {0, 1}.

    Raises:
        ValueError: unknown family, wrong shape, or coordinates that are not finite.
    """
    corners = integer_landmarks(landmarks)
    if family == "facehull":
        hulls = [corners[:points]]
    elif family == "dfl_full":
        hulls = [corners[indices] for indices in DFL_FULL]
    elif family in ("components", "extended"):
        corners = raise_eyebrows(corners) if family == "extended" else corners
        hulls = [corners[indices] for indices in COMPONENTS]
    else:
        raise ValueError(f"family: expected one of {', '.join(HULL_FAMILIES)}, got {family}")
    mask = np.zeros((height, width), np.uint8)
    for hull in hulls:
        cv2.fillConvexPoly(mask, cv2.convexHull(hull), 1)
    return mask


def raise_eyebrows(corners: np.ndarray) -> np.ndarray:
    """Move both eyebrows away from the eye below by half their distance: the *extended* family (integer arithmetic, floor).

    Args:
        corners: int32 [68 or more, 2].

    Returns:
        A copy with points 17-21 and 22-26 moved.
    """
    quarter_right = (corners[36] + (corners[36] + corners[0]) // 2) // 2  # a quarter of the way from eye corner to jaw
    quarter_left = (corners[45] + (corners[16] + corners[45]) // 2) // 2
    arc_right = np.vstack([quarter_right, corners[[36, 37, 38, 39]]])
    arc_left = np.vstack([corners[[42, 43, 44, 45]], quarter_left])
    moved = corners.copy()
    moved[17:22] += (corners[17:22] - arc_right) // 2
    moved[22:27] += (corners[22:27] - arc_left) // 2
    return moved


def change_color(image: np.ndarray, params: ColorParams) -> np.ndarray:
    """RGB shift, then HSV shift, then contrast and brightness, those that were drawn."""
    if params.rgb_shift is not None:
        image = shift_rgb(image, params.rgb_shift)
    if params.hsv_shift is not None:
        image = shift_hsv(image, params.hsv_shift)
    if params.contrast is not None:
        image = change_contrast(image, *params.contrast)
    return image


def shift_rgb(image: np.ndarray, shift: tuple[int, int, int]) -> np.ndarray:
    """Add an integer per channel, clip to 0..255."""
    table = np.clip(_LEVELS[:, None] + np.asarray(shift, np.float32), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])


def shift_hsv(image: np.ndarray, shift: tuple[float, float, float]) -> np.ndarray:
    """Shift hue (0..179, modulo 180), saturation and value (0..255, clipped) in OpenCV's uint8 HSV, truncating.

    With shifts in (-0.3, 0.3) this is -1 in a channel whose shift is negative (hue 0 becomes 179; saturation and value 0 stay 0)
    and none otherwise. The way to uint8 HSV and back changes colours a little in any case.
    """
    hue, saturation, value = shift
    levels = np.arange(256, dtype=np.float64)
    table = np.stack([np.mod(levels + hue, 180), np.clip(levels + saturation, 0, 255), np.clip(levels + value, 0, 255)], -1)
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), table.astype(np.uint8)[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def change_contrast(image: np.ndarray, a: float, b: float) -> np.ndarray:
    """v -> clip(a v + 255 b), truncated; computed in float32."""
    table = np.clip(_LEVELS * np.float32(a) + np.float32(255 * b), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def resample(image: np.ndarray, params: ResampleParams) -> np.ndarray:
    """Scale down and up again, or sharpen, whichever was drawn."""
    if params.down_scale is not None:
        return scale_down_and_up(image, params.down_scale)
    if params.sharpen is not None:
        return sharpen(image, *params.sharpen)
    return image


def scale_down_and_up(image: np.ndarray, factor: int) -> np.ndarray:
    """Down to floor(size / factor), at least 1 pixel, nearest; back up bilinear."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def sharpen(image: np.ndarray, amount: float, lightness: float) -> np.ndarray:
    """v -> (1 - t) v + t K v with K the 3 x 3 kernel of -1 with 8 + l in the middle; border mirrored without its edge pixel."""
    kernel = np.full((3, 3), -amount, np.float32)
    kernel[1, 1] = (1 - amount) + amount * (8 + lightness)
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def warp_image(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Affine warp of uint8 [H, W, 3], bilinear, zero outside, rounded to nearest."""
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def warp_mask(mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Affine warp of uint8 [H, W], nearest, zero outside."""
    size = (mask.shape[1], mask.shape[0])
    return cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def elastic_field(
    key: int, alpha: float, sigma: float, height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """Displacement of the pixels of a part of an image: float32 [rows, columns, 2], (x, y), in pixels.

    The method's field is alpha x Gaussian(sigma) of uniform noise per pixel. This one has the same distribution (standard deviation,
    correlation) with a quarter of the noise: noise on a grid of every second pixel, of half the standard deviation because a Gaussian of
    half as many points averages less, blurred to 4 sigma with the edge repeated (SciPy's "reflect"), and interpolated bilinearly. Grid
    point g lies at pixel 2 g + 1/2; beyond the outermost points the field is constant. With sigma below 1.7 pixels the grid is coarser
    than the field asked for.

    Args:
        key: of `fpg.common.philox.noise_field`.
        alpha, sigma: pixels.
        height, width: of the whole image, pixels.
        rows, columns: first and one past the last pixel.
    """
    grid_sigma, radius = elastic_blur(sigma)
    parts = []
    for (first, last), size in ((rows, height), (columns, width)):
        grid = (size + 1) // 2
        low, high = max(0, (first - 1) // 2), min(grid, last // 2 + 1)  # the points around the pixels
        parts.append((low, high, max(0, low - radius), min(grid, high + radius)))
    (y0, y1, top, bottom), (x0, x1, left, right) = parts
    noise = noise_field(key, (top, bottom), (left, right))
    side = 2 * radius + 1
    blurred = noise if radius == 0 else cv2.GaussianBlur(noise, (side, side), grid_sigma, borderType=cv2.BORDER_REFLECT)
    coarse = np.ascontiguousarray(blurred[y0 - top : y1 - top, x0 - left : x1 - left] * np.float32(alpha / 2))
    fine = cv2.resize(coarse, (2 * (x1 - x0), 2 * (y1 - y0)), interpolation=cv2.INTER_LINEAR)
    return fine[rows[0] - 2 * y0 : rows[1] - 2 * y0, columns[0] - 2 * x0 : columns[1] - 2 * x0]


def deform_mask(mask: np.ndarray, key: int, alpha: float, sigma: float) -> np.ndarray:
    """Elastic change: the mask at p is the mask at p + `elastic_field`(p).

    The lookup is nearest, its border is mirrored without the edge pixel. Only the surroundings of the mask are computed: nothing
    moves farther than alpha / 2, so the rest stays zero.

    Args:
        mask: uint8 [H, W], values {0, 1}.
        key: of the noise, 64 bits.
        alpha: pixels, at least 0.
        sigma: pixels.

    Returns:
        uint8 [H, W], values {0, 1}.
    """
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0 or h == 0:
        return np.zeros_like(mask)
    reach = int(np.ceil(alpha / 2)) + 1
    y0, y1 = max(0, y - reach), min(height, y + h + reach)
    x0, x1 = max(0, x - reach), min(width, x + w + reach)
    field = elastic_field(key, alpha, sigma, height, width, (y0, y1), (x0, x1))
    map_x = field[..., 0] + np.arange(x0, x1, dtype=np.float32)
    map_y = field[..., 1] + np.arange(y0, y1, dtype=np.float32)[:, None]
    deformed = np.zeros_like(mask)
    deformed[y0:y1, x0:x1] = cv2.remap(mask, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return deformed


def blend(source: np.ndarray, background: np.ndarray, mask: np.ndarray, rounding: BlendRounding = "released") -> np.ndarray:
    """Step 7: f = m s + (1 - m) b in float32, truncated to uint8, or rounded, halves up.

    Args:
        source, background: uint8 [H, W, 3].
        mask: float32 [H, W] in [0, 1].
        rounding: see `AugmentConfig.blend_rounding`.

    Returns:
        uint8 [H, W, 3].
    """
    weight = cv2.merge([mask, mask, mask])
    exact = weight * source + (1 - weight) * background
    return (exact + np.float32(0.5) if rounding == "nearest" else exact).astype(np.uint8)


def change_photometry(image: np.ndarray, params: PairParams) -> np.ndarray:
    """Step 8: the change that forgery, background and source share. uint8 [H, W, 3] -> uint8 [H, W, 3]."""
    changed = change_color(image, params.photometric)
    return changed if params.jpeg_quality is None else compress_jpeg(changed, params.jpeg_quality)
