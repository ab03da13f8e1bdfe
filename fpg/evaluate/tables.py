"""Tables of groups and of one threshold over several data sets, once for the page, for Markdown and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Title, a sentence or two about it, head and rows."""

    title: str
    about: str
    head: list[str]
    rows: list[list[str]]


def tables(m: dict[str, Any]) -> list[Table]:
    """Those that an evaluation has; files of earlier versions have none."""
    found = [_attribute(entry) for entry in m.get("by_attribute") or []]
    if m.get("one_threshold"):
        found += [_sets(m["one_threshold"]), _left_out(m["one_threshold"])]
    return found


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _with(value: float | None, bounds: Sequence[float] | None) -> str:
    text = _percent(value)
    return text if value is None or not bounds else f"{text} [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"


def _attribute(entry: dict[str, Any]) -> Table:
    name = entry["attribute"]
    rows = [
        [
            g["value"] + (" (small)" if g["small"] else ""),
            str(g["real"]),
            str(g["fake"]),
            str(g["without_score"]),
            *(_with(g[key], g["intervals"].get(key)) for key in ("auc", "fpr", "tpr")),
        ]
        for g in entry["groups"]
    ]
    gaps = [entry["gaps"][key] for key in ("auc", "fpr", "tpr")]
    if any(gaps):
        rows.append(["largest gap", "", "", "", *("–" if gap is None else _with(gap["value"], gap["interval"]) for gap in gaps)])
        rows.append(["between", "", "", "", *("–" if gap is None else f"{gap['high']} and {gap['low']}" for gap in gaps)])
    odds = entry["equalised_odds"]
    about = (
        f"At the threshold {entry['threshold']:.4g}; in percent, 95 % intervals ({entry['intervals']}). Difference in equal opportunity: "
        f"the gap in TPR; in predictive equality: that in FPR; in equalised odds: {_percent(odds)} points. Small: fewer than "
        f"{entry['small']} scored real or fake videos. Groups are as they were annotated; none is guessed from a face."
    )
    return Table(f"By {name}", about, [name, "real", "fake", "no score", "AUC", "FPR", "TPR"], rows)


def _sets(t: dict[str, Any]) -> Table:
    rows = [
        [
            s["dataset"],
            str(s["real"]),
            str(s["fake"]),
            _with(s["auc"], s["auc_interval"]),
            _with(s["fpr"], s["fpr_interval"]),
            _with(s["tpr"], s["tpr_interval"]),
            _percent(s["balanced_accuracy"]),
            f"{s['polarisation']:.3f}",
        ]
        for s in t["sets"]
    ]
    worst = t["worst"]
    about = (
        f"Pooled AUC {_with(t['pooled_auc'], t['pooled_auc_interval'])}, mean of the sets' AUCs {_percent(t['mean_auc'])}, cross-set AUC "
        f"{_with(t['cross_auc'], t['cross_auc_interval'])} (fakes of one set against real videos of another). Worst set by AUC: "
        f"{worst['auc']}; by FPR: {worst['fpr']}; by TPR: {worst['tpr']}. Polarisation (distance between the scores of fake and real "
        f"videos) of all: {t['polarisation']:.3f}."
    )
    head = ["data set", "real", "fake", "AUC", "FPR", "TPR", "balanced accuracy", "polarisation"]
    return Table(f"All data sets at one threshold, {t['threshold']:.4g}", about, head, rows)


def _left_out(t: dict[str, Any]) -> Table:
    rows = [
        [
            s["dataset"],
            f"{s['temperature_ratio']:.3g}" if s["reason"] is None else "none fits",
            f"{s['threshold']:.3f}",
            _with(s["fpr"], s["fpr_interval"]),
            _with(s["tpr"], s["tpr_interval"]),
            " -> ".join(_percent(value) for value in s["ece"]),
        ]
        for s in t["left_out"]
    ]
    about = (
        "Temperature and threshold are fitted on all other sets and tested on the one that was left out. The threshold calls at most "
        f"{100 * t['left_out_fpr']:g} % of the other sets' real videos fake: how far the FPR is from that says how well it carries over. "
        "Temperature: relative to the model's own."
    )
    head = ["left out", "temperature", "threshold", "FPR", "TPR", "ECE before -> after"]
    return Table("Calibrated on the other data sets", about, head, rows)
