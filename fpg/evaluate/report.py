"""The page that `fpg-eval` writes: headline numbers with their protocol, curves, worst mistakes, every video, how to repeat it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from fpg.common import html
from fpg.data.manifest import FAKE
from fpg.evaluate.metrics import roc
from fpg.evaluate.protocol import Result, Worst
from fpg.evaluate.robustness_report import robustness_section
from fpg.runtime.overlay import map_scale
from fpg.runtime.report import face_figure, model_facts

FEW = 50
"""Below this many videos of a class the report warns about chance."""


def write_evaluation_report(
    path: str | os.PathLike[str], metrics: dict[str, Any], results: Sequence[Result], worst: Worst, model: dict[str, Any], command: str
) -> None:
    """Write the report of one run of `fpg-eval`, atomically.

    Args:
        path: of the HTML file.
        metrics: `fpg.evaluate.protocol.summarise`.
        results: every video.
        worst: the faces of the videos furthest from their label.
        model: `describe_model`.
        command: what was called, to show.

    Raises:
        InputError: the file cannot be written.
    """
    scored = [r for r in results if r.judgement.score is not None]
    labels = np.array([r.label for r in scored], np.int64)
    scores = np.array([r.judgement.score for r in scored], np.float64)
    mistakes = sum(_wrong(r) for r in scored)
    html.write_page(
        path,
        "evaluate.html.j2",
        m=metrics,
        tiles=_tiles(metrics),
        few=_few(metrics),
        roc=roc_chart(labels, scores, metrics) if metrics["auc"] is not None else None,
        histogram=histogram(labels, scores, metrics["threshold"]) if len(scored) else None,
        groups=metrics["by_dataset"] + metrics["by_method"] if len(metrics["by_dataset"]) > 1 or len(metrics["by_method"]) > 1 else [],
        robustness=robustness_section(metrics["robustness"]) if metrics.get("robustness") else None,
        mistakes=mistakes,
        worst=_worst_faces(worst, mistakes),
        rows=[_row(r) for r in sorted(results, key=lambda r: (r.judgement.score is not None, -(r.judgement.score or 0), r.name))],
        model=model_facts(model),
        command=command,
        python=platform.python_version(),
    )


def _tiles(m: dict[str, Any]) -> list[tuple[str, str, str]]:
    over = f"over {m['scored']} videos"
    return [
        ("AUC", html.percent(m["auc"]), over),
        ("Average precision", html.percent(m["ap"]), over),
        ("Equal error rate", html.percent(m["eer"]), over),
        ("Accuracy", html.percent(m["accuracy"]), f"at threshold {m['threshold']}"),
        ("AUC as released", html.percent(m["as_released"]["auc"]), f"over {m['videos']} videos"),
    ]


def _few(m: dict[str, Any]) -> str | None:
    smaller = min((g for g in (m["real"], m["fake"]) if g), default=0)
    if not m["scored"] or smaller >= FEW:
        return None
    counts = f"{m['real']} real and {m['fake']} fake videos"
    return f"With {counts} these numbers move a lot by chance: they show that the path works, not how good the model is."


def _wrong(result: Result) -> bool:
    return result.judgement.score is not None and (result.judgement.verdict == "fake") != (result.label == FAKE)


def _worst_faces(worst: Worst, mistakes: int) -> list[dict[str, str]]:
    chosen = [(r, h[0]) for r, h in worst.kept if h and (_wrong(r) or not mistakes)][: 12 if mistakes else 6]
    scale = map_scale(h for _, h in chosen)
    return [
        face_figure(h, scale, video=r.frames > 1, prefix=f"{r.name}: {_truth(r)}, video score {r.judgement.score:.3f}. Face: ")
        for r, h in chosen
    ]


def _truth(result: Result) -> str:
    return "fake" if result.label == FAKE else "real"


def _row(result: Result) -> dict[str, Any]:
    j = result.judgement
    return {
        "name": result.name,
        "truth": _truth(result),
        "score": j.score,
        "verdict": j.verdict,
        "wrong": _wrong(result),
        "error": j.error,
        "frames": result.frames,
        "with_face": j.frames_with_face,
    }


def roc_chart(labels: np.ndarray, scores: np.ndarray, metrics: dict[str, Any]) -> Markup:
    """ROC curve with the operating point of the threshold."""
    false_positive, true_positive = roc(labels, scores)
    figure, axes = html.chart(4.6, 3.6)
    axes.plot([0, 1], [0, 1], color=html.INK, linewidth=0.7, alpha=0.5, linestyle=(0, (2, 3)))
    axes.plot(false_positive, true_positive, color=html.ACCENT, linewidth=1.8, clip_on=False)
    called = scores >= metrics["threshold"]
    axes.plot([called[labels == 0].mean()], [called[labels == 1].mean()], marker="o", color=html.FAKE, markersize=7, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    axes.text(0.97, 0.06, f"AUC {100 * metrics['auc']:.1f} %", ha="right", color=html.INK, fontsize=11)
    return html.inline_svg(figure, "roc", f"ROC curve, AUC {metrics['auc']:.3f}")


def histogram(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Markup:
    """How the video scores spread, by true label."""
    figure, axes = html.chart(4.6, 3.6)
    edges = np.linspace(0, 1, 21)
    real, fake = scores[labels == 0], scores[labels == 1]
    axes.hist([real, fake], bins=edges, color=[html.REAL, html.FAKE], label=[f"real ({len(real)})", f"fake ({len(fake)})"], rwidth=0.9)
    axes.axvline(threshold, color=html.INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 1), xlabel="video score", ylabel="videos")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8.5, labelcolor=html.INK, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return html.inline_svg(figure, "histogram", "Histogram of video scores by label")
