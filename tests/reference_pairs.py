"""METHOD section 2 once more, for the test of the distribution: plain NumPy, OpenCV and SciPy, its own draws, nothing of fpg.

Geometry, masks, feathering, blend and crops are the steps under the benchmark's albumentations pipeline; colour, the affine change and JPEG
are written here, so that no second environment is needed. Every step sees the whole crop.
"""

from __future__ import annotations

import cv2
import numpy as np
from alternatives.pairs import steps


def reference_pair(image: np.ndarray, landmarks: np.ndarray, box: np.ndarray, rng: np.random.Generator, size: int) -> list[np.ndarray]:
    """Forgery, real, source: float32 [3, size, size]; mask: float32 [1, size, size]. Arguments as of `steps`."""
    if rng.random() < 0.5:
        image, landmarks, box = steps.mirror(image, landmarks, box)
    image, landmarks, box = steps.context(image, landmarks, box)
    if rng.random() < 0.25:
        landmarks = landmarks[:68]
    mask = steps.hull_mask(landmarks, str(rng.choice(steps.HULL_FAMILIES)), *image.shape[:2])
    recolored = resampled(shifted(image, rng, hsv=1, contrast=1, limit=0.1), rng)
    source, background = (recolored, image) if rng.random() < 0.5 else (image, recolored)
    source, mask = moved(source, mask, rng)
    soft = steps.feather(steps.elastic(mask, rng), *steps.draw_feather(rng)) * np.float32(rng.choice(steps.RATIOS))
    images = [steps.blend(source, background, soft), background, source]
    seed = rng.integers(1 << 32)
    images = [shifted(part, np.random.default_rng(seed), hsv=0.3, contrast=0.3, limit=0.3) for part in images]
    if rng.random() < 0.5:
        quality = int(rng.integers(40, 101))
        images = [compressed(part, quality) for part in images]
    return steps.detection(images, soft, box, rng.uniform(0.2, 0.8, 4), size)


def shifted(image: np.ndarray, rng: np.random.Generator, hsv: float, contrast: float, limit: float) -> np.ndarray:
    """RGB shift with p = 0.3, HSV shift with p = `hsv`, contrast and brightness within `limit` with p = `contrast`; uint8 after each."""
    if rng.random() < 0.3:
        image = np.clip(image.astype(int) + rng.integers(-20, 21, 3), 0, 255).astype(np.uint8)
    if rng.random() < hsv:
        down = (rng.uniform(-0.3, 0.3, 3) < 0).astype(int)  # v + shift, truncated: one less when the shift is negative
        levels = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(int) - down
        levels[..., 0] %= 180
        image = cv2.cvtColor(np.maximum(levels, 0).astype(np.uint8), cv2.COLOR_HSV2RGB)
    if rng.random() < contrast:
        a, b = 1 + rng.uniform(-limit, limit), rng.uniform(-limit, limit)
        image = np.clip(a * image + 255 * b, 0, 255).astype(np.uint8)
    return image


def resampled(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Down by 2 or 4 and up again, or sharpened."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        factor = int(rng.choice([2, 4]))
        small = cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_NEAREST)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    t, lightness = rng.uniform(0.2, 0.5), rng.uniform(0.5, 1.0)
    kernel = np.full((3, 3), -1.0)
    kernel[1, 1] = 8 + lightness
    values = image.astype(np.float64)
    return np.clip(np.rint((1 - t) * values + t * cv2.filter2D(values, -1, kernel)), 0, 255).astype(np.uint8)


def moved(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image bilinear and mask nearest through p' = c + S (p - c) + t."""
    height, width = mask.shape
    scale = rng.uniform(0.95, 1 / 0.95, 2)
    shift = rng.uniform(-1, 1, 2) * (0.03 * width, 0.015 * height)
    center = np.array([width - 1, height - 1]) / 2
    matrix = np.hstack([np.diag(scale), (center + shift - scale * center)[:, None]])
    warped = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return warped, cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_NEAREST)


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """Through JPEG and back."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
