"""The page that `fpg-detect` writes: verdicts, scores over time, suspicious faces with their activation maps, protocol, model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from fpg.common import html
from fpg.runtime.judgement import Highlight, Judgement
from fpg.runtime.overlay import map_scale, overlay

MAX_SECTIONS = 24
"""Inputs shown in detail; the rest are in the table."""


def write_detect_report(
    path: str | os.PathLike[str], results: Sequence[Judgement], model: dict[str, Any], protocol: dict[str, Any], threshold: float
) -> None:
    """Write the report of one run of `fpg-detect`, atomically.

    Args:
        path: of the HTML file.
        results: every input in order.
        model, protocol: `describe_model` and `describe_protocol`.
        threshold: probability from which the verdict is fake.

    Raises:
        InputError: the file cannot be written.
    """
    names = short_names([r.input for r in results])
    judged = [i for i, r in enumerate(results) if r.score is not None]
    shown = sorted(sorted(judged, key=lambda i: -(results[i].score or 0))[:MAX_SECTIONS])
    scale = map_scale(h for i in shown for h in results[i].highlights)
    html.write_page(
        path,
        "detect.html.j2",
        headline=_headline(results),
        results=[_row(r, names[i], f"input-{i}" if i in shown else None) for i, r in enumerate(results)],
        sections=[_section(results[i], names[i], i, scale) for i in shown],
        not_shown=len(judged) - len(shown),
        failures=[r for r in results if r.score is None],
        model=model_facts(model),
        protocol=protocol,
        threshold=threshold,
    )


def let_go(results: list[Judgement]) -> None:
    """Drop, in place, the pictures of inputs that will not be shown in detail, so that memory stays bounded."""
    holding = [i for i, r in enumerate(results) if r.highlights]
    if len(holding) >= 2 * MAX_SECTIONS:
        for i in sorted(holding, key=lambda i: -(results[i].score or 0))[MAX_SECTIONS:]:
            results[i] = replace(results[i], highlights=())


def _headline(results: Sequence[Judgement]) -> str:
    counts = [(sum(r.verdict == v for r in results), f"judged {v}") for v in ("fake", "real")]
    counts.append((sum(r.score is None for r in results), "without a verdict"))
    parts = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{len(results)} input{'s' if len(results) != 1 else ''}: {parts}."


def _row(result: Judgement, short: str, anchor: str | None) -> dict[str, Any]:
    return {
        "input": result.input,
        "short": short,
        "anchor": anchor,
        "score": result.score,
        "verdict": result.verdict,
        "threshold": result.threshold,
        "frames": len(result.frames),
        "with_face": result.frames_with_face,
    }


def _section(result: Judgement, short: str, index: int, scale: float) -> dict[str, Any]:
    faces = [face_figure(h, scale, video=len(result.frames) > 1) for h in result.highlights]
    chart = score_chart(result, f"t{index}") if len(result.frames) > 1 else None
    return {**_row(result, short, f"input-{index}"), "chart": chart, "faces": faces}


def face_figure(highlight: Highlight, scale: float, *, video: bool = True, prefix: str = "") -> dict[str, str]:
    """A face, the same under its map (empty where the model has none), and a caption, for the template's `face` macro."""
    evidence = highlight.activation_map
    place = f"frame {highlight.index}, {html.clock(highlight.time_s)}: " if video else ""
    return {
        "image": html.picture(highlight.image),
        "overlay": "" if evidence is None else html.picture(overlay(highlight.image, evidence, scale)),
        "caption": f"{prefix}{place}score {highlight.score:.3f}",
    }


def score_chart(result: Judgement, name: str) -> Markup:
    """Score of each frame over time, with gaps where no face was found and the threshold as a line."""
    figure, axes = html.chart()
    timed = any(frame.time_s > 0 for frame in result.frames)
    x = [frame.time_s if timed else float(frame.index) for frame in result.frames]
    y = [float("nan") if frame.score is None else frame.score for frame in result.frames]
    axes.axhspan(result.threshold, 1.02, color=html.FAKE, alpha=0.08, linewidth=0)
    axes.axhline(result.threshold, color=html.FAKE, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.plot(x, y, color=html.ACCENT, linewidth=1.4, marker="o", markersize=3.2)
    gaps = [t for t, frame in zip(x, result.frames, strict=True) if frame.score is None]
    if gaps:
        axes.plot(gaps, [0.0] * len(gaps), linestyle="none", marker="x", markersize=4, color=html.INK, label="no face")
        axes.legend(frameon=False, fontsize=8, loc="upper right", labelcolor=html.INK)
    axes.set(ylim=(-0.03, 1.03), xlabel="seconds" if timed else "frame", ylabel="score", yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.margins(x=0.02)
    description = f"Score over time of {result.input}, mean {result.score:.3f}" if result.score is not None else "Score over time"
    return html.inline_svg(figure, name, description)


def short_names(paths: Sequence[str]) -> list[str]:
    """Names without the folders that all inputs share; the file name alone for a single input."""
    parts = [PurePath(p).parts for p in paths]
    common = 0
    while parts and all(len(p) > common + 1 and p[common] == parts[0][common] for p in parts):
        common += 1
    return [str(PurePath(*p[common:])) if p else "" for p in parts]


def model_facts(model: dict[str, Any]) -> dict[str, Any]:
    """The description of a model with its provenance as short lines."""
    provenance = dict(model.get("provenance") or {})
    facts = [
        (key.replace("_", " ").capitalize(), shorten(plain(value))) for key, value in provenance.items() if value not in (None, "", {}, [])
    ]
    return {**model, "facts": facts}


def plain(value: Any) -> str:
    """A JSON value as a line of text: `key value; key value`, lists with commas."""
    if isinstance(value, dict):
        return "; ".join(f"{key} {plain(v)}" for key, v in value.items() if v is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(v) for v in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shorten(text: str, limit: int = 400) -> str:
    """The text, cut with an ellipsis where it is longer than `limit`."""
    return text if len(text) <= limit else text[:limit] + " …"
