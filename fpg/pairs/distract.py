"""Changes next to the face that are no forgery, done alike to a real face and to its forgery.

Videos have captions, logos, stickers, blurred neighbours and objects before the background: borders that somebody made, and no deepfake.
A detector that has seen such borders around forged faces alone takes them for one (after the distractors of the Practical Manipulation
Model, PMM: Hopf and Timofte, ICCV Workshops 2025, arXiv 2506.05119). Here shapes next to the face get another colour, are smoothed, moved
or covered, or text is written there, with one draw for all images of a pair; neither the face nor the mask is touched. Off by default: the
method has nothing of it. What it changes in a detector has not been measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fpg.pairs.checks import check_section

Kind = Literal["color", "smooth", "shift", "cover", "text"]
KINDS: tuple[Kind, ...] = ("color", "smooth", "shift", "cover", "text")
_PLACES = 3
"""Places that are drawn for each shape; the one farthest from the face is taken."""
_LEAST = 3.0
"""Half the height of the smallest shape, in pixels; where there is less room there is none."""
_LETTERS = np.array(list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789"))


@dataclass(frozen=True)
class DistractConfig:
    """What may be changed next to the face. Ranges include both ends."""

    probability: float = 0.0
    """Chance that something next to the face is changed; 0 leaves out this step."""
    count: tuple[int, int] = (1, 3)
    """How many shapes."""
    kinds: tuple[Kind, ...] = KINDS
    """Drawn uniformly for each: another colour, smoother, moved, covered, text."""
    size: tuple[float, float] = (0.05, 0.25)
    """Half the width of a shape, as a fraction of the image's; smaller where the face leaves less room."""
    color: float = 40.0
    """Largest change of a channel, of 255, by `color`."""
    sigma: tuple[float, float] = (1.0, 3.0)
    """Standard deviation of `smooth`, in pixels of the network's input."""
    shift: float = 0.05
    """Largest movement along each axis by `shift`, as a fraction of the width."""
    softness: tuple[float, float] = (0.0, 2.5)
    """Standard deviation of the blur of a shape's edge, in pixels."""

    def __post_init__(self) -> None:
        """Refuse values that nothing can be changed with.

        Raises:
            UsageError: naming the field, what was expected and what came.
        """
        require = check_section("augment.distract", self)
        require(self.kinds != () and set(self.kinds) <= set(KINDS), "kinds", f"some of {', '.join(KINDS)}")
        require(self.count[0] >= 1 and self.count[1] <= 100, "count", "within 1..100")
        require(self.size[0] > 0 and self.size[1] <= 1, "size", "within (0, 1]")
        require(0 <= self.color <= 255, "color", "within 0..255")
        require(self.sigma[0] > 0, "sigma", "more than 0")
        require(0 <= self.shift <= 1, "shift", "within [0, 1]")
        require(self.softness[0] >= 0, "softness", "at least 0")


@dataclass(frozen=True)
class Distractor:
    """All draws of one shape; those that its kind does not need are there, too."""

    kind: Kind
    places: tuple[tuple[float, float], ...]
    """(x, y) of its middle as fractions of the image: the candidates."""
    size: float
    """Half its width, as a fraction of the image's."""
    flatness: float
    """Its height by its width."""
    angle: float
    """Degrees."""
    ellipse: bool
    """Or a rectangle."""
    color: tuple[float, float, float]
    """In [-1, 1]: what a channel changes by, or where in 0..255 it lies."""
    sigma: float
    move: tuple[float, float]
    """As fractions of the width."""
    opacity: float
    text: str
    softness: float


DistractParams = tuple[Distractor, ...]
"""All draws of one pair's distractors."""


def draw_distractors(rng: np.random.Generator, config: DistractConfig) -> DistractParams | None:
    """Draw one pair's distractors, None for none; every draw is consumed whatever the outcome of the others."""
    happens = float(rng.random())
    count = int(rng.integers(config.count[0], config.count[1] + 1))
    shapes = tuple(_draw_one(rng, config) for _ in range(config.count[1]))[:count]
    return shapes if happens < config.probability else None


def _draw_one(rng: np.random.Generator, c: DistractConfig) -> Distractor:
    kind = c.kinds[int(rng.integers(len(c.kinds)))]
    places = tuple((float(x), float(y)) for x, y in rng.random((_PLACES, 2)))
    size, flatness = float(rng.uniform(*c.size)), float(rng.uniform(0.25, 1.0))
    angle, ellipse = float(rng.normal(0, 20)), bool(rng.random() < 0.5)
    red, green, blue = (float(u) for u in rng.uniform(-1, 1, 3))
    sigma = float(rng.uniform(*c.sigma))
    move_x, move_y = (c.shift * float(u) for u in rng.uniform(-1, 1, 2))
    opacity, softness = float(rng.uniform(0.6, 1.0)), float(rng.uniform(*c.softness))
    text = "".join(rng.choice(_LETTERS, int(rng.integers(3, 10))).tolist())
    scaled = c.color / 127.5 if kind == "color" else 1.0
    color = (red * scaled, green * scaled, blue * scaled)
    return Distractor(kind, places, size, flatness, angle, ellipse, color, sigma, (move_x, move_y), opacity, text, softness)


def distract(images: Sequence[np.ndarray], face: np.ndarray, params: DistractParams) -> list[np.ndarray]:
    """Change the images of one pair alike, next to the face.

    Args:
        images: uint8 [S, S, 3] RGB each, all of one size.
        face: bool [S, S], what must stay as it is: the face and the mask.
        params: from `draw_distractors`.

    Returns:
        As many uint8 [S, S, 3]; where `face` is set they are as they were.
    """
    room = cv2.distanceTransform((~face).astype(np.uint8), cv2.DIST_L2, 5) if face.any() else np.full(face.shape, 1e6, np.float32)
    changed = list(images)
    for shape in params:
        alpha = _shape(shape, room)
        if alpha is not None:
            weight = np.where(face, 0, alpha).astype(np.float32)[..., None]
            changed = [np.rint(weight * _changed(image, shape) + (1 - weight) * image).astype(np.uint8) for image in changed]
    return changed


def _shape(shape: Distractor, room: np.ndarray) -> np.ndarray | None:
    """Where the shape is, and how strongly: float32 [H, W] in [0, 1]; None where the face leaves no room for it."""
    height, width = room.shape
    spots = [(min(int(x * width), width - 1), min(int(y * height), height - 1)) for x, y in shape.places]
    x, y = max(spots, key=lambda spot: float(room[spot[1], spot[0]]))
    half = min(shape.size * width, float(room[y, x]) - 2 * shape.softness)
    if half * shape.flatness < _LEAST:
        return None
    drawn = np.zeros((height, width), np.uint8)
    if shape.kind == "text":
        _write(drawn, shape.text, (x, y), half)
    elif shape.ellipse:
        cv2.ellipse(drawn, (x, y), (round(half), round(half * shape.flatness)), shape.angle, 0, 360, 255, cv2.FILLED, cv2.LINE_AA)
    else:
        corners = cv2.boxPoints(((x, y), (1.4 * half, 1.4 * half * shape.flatness), shape.angle))  # inside the circle of radius `half`
        cv2.fillConvexPoly(drawn, np.rint(corners).astype(np.int32), 255, cv2.LINE_AA)
    alpha = drawn.astype(np.float32) / 255
    soft = cv2.GaussianBlur(alpha, (0, 0), shape.softness) if shape.softness > 0.3 else alpha
    return soft * np.float32(shape.opacity if shape.kind in ("cover", "text") else 1.0)


def _write(drawn: np.ndarray, text: str, middle: tuple[int, int], half: float) -> None:
    """Text `2 half` pixels wide about its middle, from right or left out of the picture where it is near the edge."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
    scale = max(0.25, 2 * half / width)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    corner = (middle[0] - width // 2, middle[1] + height // 2)
    cv2.putText(drawn, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, max(1, round(1.5 * scale)), cv2.LINE_AA)


def _changed(image: np.ndarray, shape: Distractor) -> np.ndarray:
    """The whole image as it would be inside the shape: [H, W, 3] in 0..255."""
    if shape.kind == "color":
        return np.clip(image + 127.5 * np.array(shape.color, np.float32), 0, 255)
    if shape.kind == "smooth":
        return cv2.GaussianBlur(image, (0, 0), shape.sigma)
    if shape.kind == "shift":
        height, width = image.shape[:2]
        matrix = np.array([[1, 0, shape.move[0] * width], [0, 1, shape.move[1] * width]], np.float64)
        return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.broadcast_to(127.5 + 127.5 * np.array(shape.color, np.float32), image.shape)
