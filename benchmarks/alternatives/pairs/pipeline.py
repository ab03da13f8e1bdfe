"""A self-blended pair the usual way: albumentations for colour and geometry, SciPy and OpenCV for the mask, one face at a time.

As published training code for self-blended images does it: every step works on the whole context crop at its native size, images are uint8
between steps, the two copies' colour change, the affine change and the change shared by forgery, background and source are
albumentations' transforms (the last with `additional_targets`), the elastic field is noise per pixel through
`scipy.ndimage.gaussian_filter`, the detection crop comes last. What nobody needs is not done: published code also moves the image
elastically and throws that away; here only the mask is moved.

Choices that versions forced (see requirements.txt; albumentations 2.0.8 is its last MIT release, and at least as fast as the 1.x that
published code was written for):
- `ElasticTransform` of 2.x filters with OpenCV; 1.x used SciPy, and so does `steps.elastic`.
- `RGBShift` of 2.x draws real numbers in +-20, not integers; `Affine` of 2.x cuts its shift to whole pixels. The work is the same; the
  method's own draws are in the reference of the distribution test.
- `Downscale` takes a range of factors; a `OneOf` of two gives the method's 2 and 4.
"""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from alternatives.pairs import steps

DOWN_AND_UP = {"downscale": cv2.INTER_NEAREST, "upscale": cv2.INTER_LINEAR}


class Pairs:
    """From a face to its pair, with draws of its own."""

    def __init__(self, size: int = 380, seed: int = 0) -> None:
        self.size = size
        self.rng = np.random.default_rng(seed)
        self.copy_color = A.Compose(
            [
                A.RGBShift((-20, 20), (-20, 20), (-20, 20), p=0.3),
                A.HueSaturationValue((-0.3, 0.3), (-0.3, 0.3), (-0.3, 0.3), p=1),
                A.RandomBrightnessContrast(brightness_limit=(-0.1, 0.1), contrast_limit=(-0.1, 0.1), p=1),
                A.OneOf(
                    [
                        A.OneOf([A.Downscale((s, s), interpolation_pair=DOWN_AND_UP, p=1) for s in (0.5, 0.25)], p=1),
                        A.Sharpen(alpha=(0.2, 0.5), lightness=(0.5, 1.0), p=1),
                    ],
                    p=1,
                ),
            ],
            seed=seed,
        )
        self.affine = A.Compose(
            [
                A.Affine(
                    scale={"x": (0.95, 1 / 0.95), "y": (0.95, 1 / 0.95)},
                    translate_percent={"x": (-0.03, 0.03), "y": (-0.015, 0.015)},
                    p=1,
                )
            ],
            seed=seed + 1,
        )
        self.shared = A.Compose(
            [
                A.RGBShift((-20, 20), (-20, 20), (-20, 20), p=0.3),
                A.HueSaturationValue((-0.3, 0.3), (-0.3, 0.3), (-0.3, 0.3), p=0.3),
                A.RandomBrightnessContrast(brightness_limit=(-0.3, 0.3), contrast_limit=(-0.3, 0.3), p=0.3),
                A.ImageCompression(quality_range=(40, 100), p=0.5),
            ],
            additional_targets={"background": "image", "source": "image"},
            seed=seed + 2,
        )

    def __call__(self, image: np.ndarray, landmarks: np.ndarray, box: np.ndarray) -> list[np.ndarray]:
        """Forgery, real, source: float32 [3, S, S] in [0, 1]; mask: float32 [1, S, S]."""
        rng = self.rng
        if rng.random() < 0.5:
            image, landmarks, box = steps.mirror(image, landmarks, box)
        image, landmarks, box = steps.context(image, landmarks, box)
        if rng.random() < 0.25:
            landmarks = landmarks[:68]
        family = steps.HULL_FAMILIES[rng.integers(4)]
        mask = steps.hull_mask(landmarks, family, *image.shape[:2])
        source, background = image.copy(), image.copy()
        if rng.random() < 0.5:
            source = self.copy_color(image=source)["image"]
        else:
            background = self.copy_color(image=background)["image"]
        moved = self.affine(image=source, mask=mask)
        source, mask = moved["image"], steps.elastic(moved["mask"], rng)
        soft = steps.feather(mask, *steps.draw_feather(rng)) * np.float32(rng.choice(steps.RATIOS))
        forgery = steps.blend(source, background, soft)
        changed = self.shared(image=forgery, background=background, source=source)
        margins = 0.2 + 0.6 * rng.random(4)
        return steps.detection([changed["image"], changed["background"], changed["source"]], soft, box, margins, self.size)
