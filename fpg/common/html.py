"""Self-contained HTML pages: templates with autoescaping, inline pictures and charts, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import datetime
import io
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from fpg import __version__
from fpg.common.console import one_line
from fpg.common.files import atomic_write

INK = "#1a2b3c"
"""Colour to draw text and axes of charts with: `inline_svg` turns it into the page's own text colour."""
ACCENT, FAKE, REAL = "#4361a8", "#c2410c", "#0f766e"
"""Colours of charts and chips: neutral, fake, real. They keep their contrast on light and on dark pages."""


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, clock=clock)
    return environment


def render(template: str, **values: Any) -> str:
    """Fill a template of `fpg/common/templates`; every value is escaped unless it is `Markup`."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return _environment().get_template(template).render(version=__version__, created=now, **values)


def write_page(path: str | os.PathLike[str], template: str, **values: Any) -> None:
    """`render` into a file, atomically.

    Raises:
        InputError: the file cannot be written.
    """
    text = render(template, **values)
    with atomic_write(path, "w") as file:
        file.write(text)


def number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits, an en dash when undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage, an en dash when undefined."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def clock(seconds: float) -> str:
    """Seconds as `1.25 s` or `2:05`."""
    return f"{seconds:.2f} s" if seconds < 60 else f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def picture(image: np.ndarray, side: int = 256, quality: int = 85) -> str:
    """A JPEG data URI.

    Args:
        image: uint8 [H, W, 3] RGB.
        side: the longer side is reduced to this many pixels.
        quality: of the JPEG, 1 to 100.
    """
    scale = min(1.0, side / max(image.shape[:2]))
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def chart(width: float = 5.0, height: float = 2.5) -> tuple[Any, Any]:
    """A matplotlib figure and axes in the page's style (no pyplot, no display), for `inline_svg`.

    Args:
        width, height: in inches; text keeps its proportion to them.
    """
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
    return figure, axes


def plot_text(text: str) -> str:
    """Text for matplotlib, to which $ begins a formula."""
    return one_line(text).replace("$", r"\$")


def inline_svg(figure: Any, name: str, description: str) -> Markup:
    """A figure as an `<svg>` element that scales with the page and follows its text colour.

    Args:
        figure: of matplotlib.
        name: letters and digits, unique within the page: prefix of the element ids.
        description: what it shows, for screen readers.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', text)
    body = text[text.index(">") + 1 :]
    body = re.sub(r'\bid="', f'id="{name}-', body).replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    body = body.replace(INK, "currentColor").replace("DejaVu Sans", "system-ui").replace("xlink:href", "href")
    label = Markup.escape(description)
    return Markup(f'<svg {view.group(0) if view else ""} role="img" aria-label="{label}" class="chart">{body}')
