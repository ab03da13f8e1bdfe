"""Figures of an evaluation: drawn once, shown in the page and written as SVG and PNG files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fpg.common import html
from fpg.common.files import atomic_write
from fpg.evaluate.calibration import Bin
from fpg.evaluate.robustness_report import robustness_figure

DOTTED, DASHED = (0, (2, 3)), (0, (4, 3))
DOTS_PER_INCH = 160


class Plot(NamedTuple):
    """A figure of matplotlib."""

    name: str
    """Letters: file name, and prefix of its ids in a page."""
    title: str
    description: str
    """What it shows, for screen readers."""
    caption: str
    """How to read it."""
    figure: Any

    @property
    def svg(self) -> Any:
        """As an element of a page."""
        return html.inline_svg(self.figure, self.name, self.description)


def plots(labels: np.ndarray, scores: np.ndarray, metrics: dict[str, Any]) -> list[Plot]:
    """The figures that these video scores allow: curves need both classes, the others any score.

    Args:
        labels: 0 real, 1 fake; [N].
        scores: probability of fake, [N].
        metrics: `fpg.evaluate.summary.summarise`.
    """
    found = []
    if metrics["auc"] is not None:
        found = [_roc(labels, scores, metrics), _precision_recall(labels, scores, metrics), _det(labels, scores, metrics)]
    if len(scores):
        bins = [Bin(**b) for b in metrics["calibration"]["bins"]]
        found += [_reliability(bins, metrics), _histogram(labels, scores, metrics["threshold"])]
    if metrics.get("robustness"):
        figure = robustness_figure(metrics["robustness"])
        found.append(Plot("robustness", "Robustness", "AUC at five levels of each perturbation", "", figure))
    return found


def write_plots(folder: str | os.PathLike[str], drawn: Sequence[Plot]) -> list[Path]:
    """Write each figure as `NAME.svg` and `NAME.png` on white, atomically.

    Raises:
        InputError: a file cannot be written.
    """
    paths = []
    for plot in drawn:
        for kind in ("svg", "png"):
            path = Path(folder) / f"{plot.name}.{kind}"
            with atomic_write(path) as file:
                metadata = {"Date": None} if kind == "svg" else {"Software": None}
                plot.figure.savefig(file, format=kind, dpi=DOTS_PER_INCH, facecolor="white", metadata=metadata)
            paths.append(path)
    return paths


def _rates(labels: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[float, float]:
    called = scores >= threshold
    return float(called[labels == 0].mean()), float(called[labels == 1].mean())


def _roc(labels: np.ndarray, scores: np.ndarray, metrics: dict[str, Any]) -> Plot:
    from fpg.evaluate.metrics import roc

    figure, axes = html.chart(4.6, 3.6)
    axes.plot([0, 1], [0, 1], color=html.INK, linewidth=0.7, alpha=0.5, linestyle=DOTTED)
    axes.plot(*roc(labels, scores), color=html.ACCENT, linewidth=1.8, clip_on=False)
    false, true = _rates(labels, scores, metrics["threshold"])
    axes.plot([false], [true], marker="o", color=html.FAKE, markersize=7, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    axes.text(0.97, 0.06, f"AUC {100 * metrics['auc']:.1f} %", ha="right", color=html.INK, fontsize=11)
    caption = "Fraction of fakes found against fraction of real videos wrongly called fake, for every threshold."
    return Plot(
        "roc", "ROC", f"ROC curve, AUC {metrics['auc']:.3f}", f"{caption} The dot is the threshold {metrics['threshold']:.4g}.", figure
    )


def _precision_recall(labels: np.ndarray, scores: np.ndarray, metrics: dict[str, Any]) -> Plot:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    fraction = float(labels.mean())
    figure, axes = html.chart(4.6, 3.6)
    axes.axhline(fraction, color=html.INK, linewidth=0.7, alpha=0.5, linestyle=DOTTED)
    axes.step(
        np.r_[0, recall[-2::-1]], np.r_[precision[-2], precision[-2::-1]], where="pre", color=html.ACCENT, linewidth=1.8, clip_on=False
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall (fraction of fakes found)", ylabel="precision")
    axes.text(0.03, 0.06, f"AP {100 * metrics['ap']:.1f} %", color=html.INK, fontsize=11)
    caption = f"Fraction of fakes among the videos called fake. The dotted line is chance: {100 * fraction:.0f} % of these videos are fake."
    return Plot("pr", "Precision and recall", f"Precision-recall curve, AP {metrics['ap']:.3f}", caption, figure)


def _det(labels: np.ndarray, scores: np.ndarray, metrics: dict[str, Any]) -> Plot:
    """Both error rates on normal-deviate axes (Martin et al., The DET Curve in Assessment of Detection Task Performance, 1997)."""
    from scipy.stats import norm
    from sklearn.metrics import det_curve

    false, missed, _ = det_curve(labels, scores)
    ticks = np.array([0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95])
    low, high = norm.ppf(0.0005), norm.ppf(0.97)
    figure, axes = html.chart(4.6, 3.6)
    edge = 1e-6
    x, y = (np.clip(norm.ppf(np.clip(v, edge, 1 - edge)), low, high) for v in (false, missed))
    axes.plot([low, high], [low, high], color=html.INK, linewidth=0.7, alpha=0.5, linestyle=DOTTED)
    axes.plot(x, y, color=html.ACCENT, linewidth=1.8, drawstyle="steps-post")
    axes.set_xticks(norm.ppf(ticks), [f"{100 * t:g}" for t in ticks])
    axes.set_yticks(norm.ppf(ticks), [f"{100 * t:g}" for t in ticks])
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="real videos called fake, %", ylabel="fakes missed, %")
    axes.text(high - 0.1, high - 0.3, f"EER {100 * metrics['eer']:.1f} %", ha="right", color=html.INK, fontsize=11)
    caption = "The two error rates against each other; lower left is better. The dotted line is where they are equal."
    return Plot("det", "DET", f"Detection error tradeoff, EER {metrics['eer']:.3f}", caption, figure)


def _reliability(bins: Sequence[Bin], metrics: dict[str, Any]) -> Plot:
    figure, axes = html.chart(4.6, 3.6)
    axes.plot([0, 1], [0, 1], color=html.INK, linewidth=0.7, alpha=0.5, linestyle=DOTTED)
    for b in bins:
        axes.plot([b.score] * 2, [b.score, b.fake], color=html.FAKE, linewidth=1.2, alpha=0.6)
    most = max(b.count for b in bins)
    size = [14 + 46 * b.count / most for b in bins]
    axes.scatter([b.score for b in bins], [b.fake for b in bins], s=size, color=html.ACCENT, zorder=3, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(-0.01, 1.01), xlabel="mean score", ylabel="fraction of fakes")
    ece = metrics["calibration"]["ece"]
    axes.text(0.03, 0.92, f"ECE {100 * ece:.1f} %", color=html.INK, fontsize=11)
    counts = sorted({b.count for b in bins})
    held = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    caption = (
        f"Each dot is {held} videos with similar scores. On the dotted line a score is the fraction of fakes; below it, it is too high."
    )
    return Plot("reliability", "Reliability", f"Reliability diagram, expected calibration error {ece:.3f}", caption, figure)


def _histogram(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Plot:
    figure, axes = html.chart(4.6, 3.6)
    real, fake = scores[labels == 0], scores[labels == 1]
    names = [f"real ({len(real)})", f"fake ({len(fake)})"]
    axes.hist([real, fake], bins=np.linspace(0, 1, 21), color=[html.REAL, html.FAKE], label=names, rwidth=0.9)
    axes.axvline(threshold, color=html.INK, linewidth=0.9, linestyle=DASHED)
    axes.set(xlim=(0, 1), xlabel="video score", ylabel="videos")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8.5, labelcolor=html.INK, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    caption = f"Video scores by true label; the dashed line is the threshold {threshold:.4g}."
    return Plot("scores", "Scores", "Histogram of video scores by label", caption, figure)
