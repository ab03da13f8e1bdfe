"""Self-blended pairs with kornia: a batch at a time on the device, in float32, from faces of one size.

METHOD section 2 with what kornia has: hulls are drawn by OpenCV on the host, everything after runs on the device with draws per item,
without uint8 rounding between steps. Blur kernels and the feathering's size are drawn once per batch (kornia's have one size). The HSV step
is left out: without rounding it changes nothing visible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import filter2d, gaussian_blur2d
from kornia.geometry.transform import crop_and_resize, remap, warp_affine
from torch import Tensor

from alternatives.pairs import steps


class Pairs:
    """From faces of one size to their pairs, with draws of its own."""

    def __init__(self, size: int, device: str, seed: int = 0) -> None:
        self.size, self.device, self.rng = size, device, np.random.default_rng(seed)
        self.torch_rng = torch.Generator(device).manual_seed(seed)

    def __call__(self, images: Sequence[np.ndarray], landmarks: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[Tensor]:
        """Forgery, real, source: float32 [N, 3, S, S] in [0, 1]; mask: float32 [N, 1, S, S]."""
        count, rng = len(images), self.rng
        faces = [steps.mirror(*face) if rng.random() < 0.5 else face for face in zip(images, landmarks, boxes, strict=True)]
        height, width = images[0].shape[:2]
        points = [face[1][: 68 if rng.random() < 0.25 else 81] for face in faces]
        hulls = np.stack([steps.hull_mask(p, steps.HULL_FAMILIES[rng.integers(4)], height, width) for p in points])
        mask = torch.from_numpy(hulls).to(self.device)[:, None].float()
        image = torch.from_numpy(np.stack([face[0] for face in faces])).to(self.device).permute(0, 3, 1, 2).float() / 255

        colored = self.resample(self.color(image, 1.0, 0.1))
        chosen = self.draw(count, 0, 1) < 0.5
        source, background = torch.where(chosen, colored, image), torch.where(chosen, image, colored)
        source, mask = self.move(source, mask)
        soft = self.feather(self.elastic(mask)) * torch.tensor(rng.choice(steps.RATIOS, (count, 1, 1, 1)), dtype=torch.float32).to(
            self.device
        )
        three = torch.cat([soft * source + (1 - soft) * background, background, source])
        three = self.compress(self.color(three, 0.3, 0.3, copies=3))
        return self.crop(three, soft, [face[2] for face in faces])

    def draw(self, count: int, low: float, high: float, channels: int = 1) -> Tensor:
        values = torch.rand((count, channels, 1, 1), generator=self.torch_rng, device=self.device)
        return low + (high - low) * values

    def color(self, image: Tensor, probability: float, limit: float, copies: int = 1) -> Tensor:
        count = len(image) // copies
        shift = self.draw(count, -20 / 255, 20 / 255, 3) * (self.draw(count, 0, 1) < 0.3)
        changes = self.draw(count, 0, 1) < probability
        a, b = 1 + self.draw(count, -limit, limit) * changes, self.draw(count, -limit, limit) * changes
        shift, a, b = (v.repeat(copies, 1, 1, 1) for v in (shift, a, b))
        return ((image + shift).clamp(0, 1) * a + b).clamp(0, 1)

    def resample(self, image: Tensor) -> Tensor:
        count, (height, width) = len(image), image.shape[2:]
        kernel = torch.full((count, 3, 3), -1.0, device=self.device)
        kernel[:, 1, 1] = 8 + self.draw(count, 0.5, 1.0).flatten()
        t = self.draw(count, 0.2, 0.5)
        result = ((1 - t) * image + t * filter2d(image, kernel)).clamp(0, 1)
        kind = torch.from_numpy(self.rng.integers(0, 4, (count, 1, 1, 1))).to(self.device)  # 0, 1: sharpen
        for choice, factor in ((2, 2), (3, 4)):
            small = F.interpolate(image, (height // factor, width // factor), mode="nearest")
            result = torch.where(kind == choice, F.interpolate(small, (height, width), mode="bilinear"), result)
        return result

    def move(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        count, (height, width) = len(image), image.shape[2:]
        side = torch.tensor([width, height], device=self.device)
        scale = self.draw(count, 0.95, 1 / 0.95, 2).flatten(1)
        shift = self.draw(count, -1, 1, 2).flatten(1) * torch.tensor([0.03, 0.015], device=self.device) * side
        center = (side - 1) / 2
        matrix = torch.cat([torch.diag_embed(scale), (center + shift - scale * center)[..., None]], 2)
        return warp_affine(image, matrix, (height, width)), warp_affine(mask, matrix, (height, width), mode="nearest")

    def elastic(self, mask: Tensor, alpha: float = 50, sigma: float = 7) -> Tensor:
        count, (height, width) = len(mask), mask.shape[2:]
        noise = torch.rand((count, 2, height, width), generator=self.torch_rng, device=self.device) * 2 - 1
        field = gaussian_blur2d(noise, (57, 57), (sigma, sigma)) * alpha
        x, y = torch.meshgrid(*(torch.arange(n, device=self.device) for n in (width, height)), indexing="xy")
        return remap(mask, x + field[:, 0], y + field[:, 1], mode="nearest", align_corners=True)

    def feather(self, mask: Tensor) -> Tensor:
        height, width = (int(v) for v in self.rng.integers(192, 257, 2))
        k1, k2 = (int(v) for v in 2 * self.rng.integers(2, 13, 2) + 1)
        soft = F.interpolate(mask, (height, width), mode="bilinear")
        first = 0.3 * ((k1 - 1) / 2 - 1) + 0.8
        soft = gaussian_blur2d(soft, (k1, k1), (first, first))
        soft = (soft >= (1 - 1e-6) * soft.amax((2, 3), keepdim=True)).float()
        sigma = self.draw(len(mask), 5, 45).flatten()
        soft = gaussian_blur2d(soft, (k2, k2), torch.stack([sigma, sigma], 1))
        soft = soft / soft.amax((2, 3), keepdim=True)
        return F.interpolate(soft, mask.shape[2:], mode="bilinear").clamp(0, 1)

    def compress(self, three: Tensor) -> Tensor:
        count, (height, width) = len(three) // 3, three.shape[2:]
        quality = self.draw(count, 40, 100).flatten().repeat(3)
        padded = F.pad(three, (0, -width % 16, 0, -height % 16), mode="replicate")
        changed = jpeg_codec_differentiable(padded, quality)[..., :height, :width].clamp(0, 1)
        return torch.where((self.draw(count, 0, 1) < 0.5).repeat(3, 1, 1, 1), changed, three)

    def crop(self, three: Tensor, soft: Tensor, boxes: Sequence[np.ndarray]) -> list[Tensor]:
        height, width = soft.shape[2:]
        corners = np.stack(boxes)
        sides = np.stack([corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]] * 2, 1) / 4
        margins = self.rng.uniform(0.2, 0.8, (len(boxes), 4)) * (-1, -1, 1, 1)
        corners = np.clip(corners + sides * margins, 0, np.array([width - 1, height - 1] * 2))
        x0, y0, x1, y1 = corners.T
        quads = torch.from_numpy(np.stack([x0, y0, x1, y0, x1, y1, x0, y1], 1).reshape(-1, 4, 2)).float().to(self.device)
        size = (self.size, self.size)
        parts = crop_and_resize(three, quads.repeat(3, 1, 1), size).clamp(0, 1).chunk(3)
        return [*parts, crop_and_resize(soft, quads, size).clamp(0, 1)]
