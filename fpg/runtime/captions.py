"""Words and colours on drawn copies: banner, captions, legend. Text has a contrast of at least 4.5 : 1 against its ground (WCAG)."""

from __future__ import annotations

import cv2
import numpy as np

from fpg.runtime.judgement import Judgement
from fpg.runtime.overlay import FOR_FAKE, FOR_REAL

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
GROUNDS: dict[str, Colour] = {
    "strong": (168, 24, 24),
    "moderate": (150, 72, 0),
    "inconclusive": (74, 82, 92),
    "little": (18, 104, 66),
    "none": (18, 104, 66),
    "not_calibrated": (74, 82, 92),
}
"""RGB behind white text by the level of a finding; a score that nobody calibrated is never green."""
SHORT = {
    "strong": "strong evidence",
    "moderate": "moderate evidence",
    "inconclusive": "inconclusive",
    "little": "little evidence",
    "none": "no evidence",
    "not_calibrated": "not calibrated",
}
"""The levels where there is little room."""
_PANEL: Colour = (24, 28, 34)
_SHARE = 1 / 3
"""Of the height, at most, that the banner covers."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def contrast_ratio(one: Colour, other: Colour) -> float:
    """The contrast of two colours, from 1 to 21 (WCAG 2.1, relative luminance of sRGB)."""

    def luminance(colour: Colour) -> float:
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in (part / 255 for part in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def banner_lines(judgement: Judgement) -> list[str]:
    """What there is to say of the whole input: the finding in words, what limits it, what to know of the model."""
    finding = judgement.finding
    lines = [judgement.error or f"score {judgement.score:.2f}, threshold {judgement.threshold:.2f}"]
    if finding is not None:
        low, high = finding.interval or (None, None)
        interval = "" if low is None else f" ({low:.2f} to {high:.2f})"
        words = finding.words[0].upper() + finding.words[1:]
        lines = [f"{words}: score {judgement.score:.2f}{interval}, threshold {judgement.threshold:.2f}"]
        lines += [f"limit: {limit.text}" for limit in finding.limits]
    return lines + [f"warning: {warning}" for warning in judgement.warnings]


def draw_banner(canvas: np.ndarray, judgement: Judgement, thick: int) -> None:
    """The lines at the top, on a dark ground; those for which a third of the picture is not enough are counted."""
    level = judgement.finding.level if judgement.finding is not None else "not_calibrated"
    width, top = canvas.shape[1] - 8 * thick, 0
    wrapped = [part for number, line in enumerate(banner_lines(judgement)) for part in _wrapped(line, width, _size(number, thick), thick)]
    room = int(_SHARE * canvas.shape[0])
    for number, text in enumerate(wrapped):
        ground = GROUNDS[level] if number == 0 else _PANEL
        left, height = len(wrapped) - number, _height(number, thick)
        if number and top + (height if left == 1 else 2 * height) > room:
            if top + height <= room:
                _panel(canvas, f"and {left} lines more: see the report", top, _size(number, thick), thick, ground)
            return
        top = _panel(canvas, text, top, _size(number, thick), thick, ground)


def draw_box(canvas: np.ndarray, box: tuple[float, float, float, float], level: str, score: float, thick: int) -> None:
    """A face's box, and above it how strong the evidence in this face is."""
    x0, y0, x1, y1 = (round(v) for v in box)
    colour, text = GROUNDS[level], f"{SHORT[level]} {score:.2f}"
    cv2.rectangle(canvas, (x0, y0), (x1, y1), WHITE, thick + 3, cv2.LINE_AA)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, thick + 1, cv2.LINE_AA)
    (width, height), below = cv2.getTextSize(text, _FONT, 0.5 * thick, thick)
    x, y = max(0, min(x0, canvas.shape[1] - width)), max(height + 2, y0 - below)
    cv2.rectangle(canvas, (x, y - height - 3), (x + width, y + below), colour, cv2.FILLED)
    cv2.putText(canvas, text, (x, y), _FONT, 0.5 * thick, WHITE, thick, cv2.LINE_AA)


def draw_legend(canvas: np.ndarray, thick: int) -> None:
    """What the colours of the heat map mean, at the bottom."""
    scale, margin, bar = 0.4 * thick, 4 * thick, 40 * thick
    left, right = "lowers the score", "raises it"
    (first, height), below = cv2.getTextSize(left, _FONT, scale, thick)
    (second, _), _ = cv2.getTextSize(right, _FONT, scale, thick)
    wide, tall = first + second + bar + 4 * margin, height + below + 2 * margin
    top = canvas.shape[0] - tall
    if wide > canvas.shape[1] or tall > canvas.shape[0] / 4:
        return
    canvas[top:, :wide] = _PANEL
    y = top + margin + height
    cv2.putText(canvas, left, (margin, y), _FONT, scale, WHITE, thick, cv2.LINE_AA)
    cv2.putText(canvas, right, (first + bar + 3 * margin, y), _FONT, scale, WHITE, thick, cv2.LINE_AA)
    fraction = np.linspace(-1, 1, bar)[:, None]
    colours = np.where(fraction < 0, np.array(FOR_REAL), np.array(FOR_FAKE)) * np.abs(fraction) + np.array(_PANEL) * (1 - np.abs(fraction))
    canvas[y - height : y + 1, first + 2 * margin : first + 2 * margin + bar] = np.rint(colours).astype(np.uint8)


def _size(number: int, thick: int) -> float:
    return (0.5 if number == 0 else 0.4) * thick


def _height(number: int, thick: int) -> int:
    (_, height), below = cv2.getTextSize("A", _FONT, _size(number, thick), thick)
    return height + below + 8 * thick


def _panel(canvas: np.ndarray, text: str, top: int, scale: float, thick: int, ground: Colour) -> int:
    """White text on its ground at the left border, from row `top`; the row below it."""
    (width, height), below = cv2.getTextSize(text, _FONT, scale, thick)
    margin = 4 * thick
    bottom = top + height + below + 2 * margin
    canvas[top:bottom, : width + 2 * margin] = ground
    cv2.putText(canvas, text, (margin, top + margin + height), _FONT, scale, WHITE, thick, cv2.LINE_AA)
    return bottom


def _wrapped(text: str, width: int, scale: float, thick: int) -> list[str]:
    """Text in lines of at most that many pixels, a word at least."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and cv2.getTextSize(longer, _FONT, scale, thick)[0][0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
