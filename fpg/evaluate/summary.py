"""From results to `metrics.json`: metrics with intervals, calibration, breakdown, the number as released, every video by name.

The metrics are over the videos that have a score. The number as the method was released, where a video without a score counts
as 0.5, stands next to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fpg.common.rng import stream
from fpg.data.manifest import FAKE, REAL
from fpg.evaluate.bootstrap import CONFIDENCE, RESAMPLES, metric_intervals
from fpg.evaluate.calibration import calibration_summary
from fpg.evaluate.fairness import by_attribute
from fpg.evaluate.groups import groups
from fpg.evaluate.metrics import compute
from fpg.evaluate.one_threshold import one_threshold
from fpg.evaluate.protocol import Result
from fpg.runtime.judgement import describe_protocol

RELEASED_SCORE = 0.5
"""What the released evaluation gives a video that fails or has no face."""


def summarise(
    results: Sequence[Result],
    notes: Sequence[str],
    threshold: float,
    frames: int | None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    protocol: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of `metrics.json`, without model and command.

    Args:
        results: of every video, failed ones included.
        notes: of the plan.
        threshold: probability from which a verdict says fake.
        frames: asked for per raw video.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        protocol: how the scores came about, where it was not by fpg.
    """
    scored = [r for r in results if r.score is not None]
    labels, scores = np.array([r.label for r in scored], np.int64), np.array([r.score for r in scored], np.float64)
    count = Counter(r.status for r in results)
    released = compute([r.label for r in results], [RELEASED_SCORE if r.score is None else r.score for r in results], threshold)
    return {
        **compute(labels, scores, threshold).to_json(),
        "intervals": metric_intervals(labels, scores, threshold, resamples, stream(seed, "videos")),
        "bootstrap": {
            "confidence": CONFIDENCE,
            "resamples": resamples,
            "seed": seed,
            "method": "percentile bootstrap over videos, real and fake resampled apart; frame-level metrics resample videos too",
        },
        "calibration": calibration_summary(labels, scores),
        "videos": len(results),
        "scored": count["scored"],
        "real": sum(r.label == REAL for r in results),
        "fake": sum(r.label == FAKE for r in results),
        "failed": count["failed"],
        "no_face": count["no_face"],
        "failed_videos": [_named(r) for r in results if r.status == "failed"],
        "no_face_videos": [_named(r) for r in results if r.status == "no_face"],
        "protocol": _protocol(results, notes, threshold, protocol or describe_protocol(frames)),
        "as_released": {
            **{k: v for k, v in released.to_json().items() if k not in ("threshold", "real", "fake")},
            "videos": len(results),
            "rule": f"a video that fails or has no face scores {RELEASED_SCORE}",
        },
        "frame_level": _frame_level(scored, threshold, resamples, seed),
        **groups(results, threshold, resamples, seed),
        "by_attribute": by_attribute(results, threshold, resamples, seed),
        "one_threshold": one_threshold(results, threshold, resamples, seed),
        "per_video": [r.to_json() for r in results],
    }


def _frame_level(scored: Sequence[Result], threshold: float, resamples: int, seed: int) -> dict[str, Any]:
    """Metrics of the frames with a face, each with the label of its video."""
    rows = [(r.label, f.score, i) for i, r in enumerate(scored) for f in r.judgement.frames if f.score is not None]
    labels, scores = np.array([y for y, _, _ in rows], np.int64), np.array([s for _, s, _ in rows], np.float64)
    videos = np.array([v for _, _, v in rows], np.int64)
    values = {k: v for k, v in compute(labels, scores, threshold).to_json().items() if k not in ("threshold", "real", "fake")}
    intervals = metric_intervals(labels, scores, threshold, resamples, stream(seed, "frames"), videos)
    calibration = {k: v for k, v in calibration_summary(labels, scores).items() if k in ("ece", "ece_equal_width", "log_loss")}
    return {**values, "intervals": intervals, **calibration, "frames": len(rows)}


def _named(result: Result) -> dict[str, str]:
    return {"video": result.name, "source": result.judgement.input, "reason": result.judgement.error or ""}


def _protocol(results: Sequence[Result], notes: Sequence[str], threshold: float, how: dict[str, Any]) -> dict[str, Any]:
    count = Counter(r.status for r in results)
    real, fake = (sum(r.label == label for r in results) for label in (REAL, FAKE))
    used = sorted({r.frames for r in results if r.status == "scored"})
    span = f"{used[0]} to {used[-1]}" if len(used) > 1 else str(used[0]) if used else "0"
    compression = _compression(results)
    text = (
        f"per video; {len(results)} videos ({real} real, {fake} fake), {count['scored']} scored, {count['failed']} failed, "
        f"{count['no_face']} without a face; {how.get('frames_text') or f'{span} evenly spaced frames per video'}; "
        f"{how.get('aggregation_text') or 'frame = max over faces, video = mean over frames with a face'}; compression {compression}"
    )
    return {
        **{k: v for k, v in how.items() if not k.endswith("_text")},
        "compression": compression,
        "frames_per_video": [used[0], used[-1]] if used else None,
        "videos": len(results),
        "real": real,
        "fake": fake,
        "scored": count["scored"],
        "failed": count["failed"],
        "no_face": count["no_face"],
        "threshold": threshold,
        "unscored": "left out of the metrics and listed by name; the numbers as released count them as 0.5",
        "data": list(notes),
        "text": text,
    }


def _compression(results: Sequence[Result]) -> str:
    """`c23`, or `c23 (280 videos), unknown (20 videos)`, or `unknown`."""
    count = Counter(r.compression or "unknown" for r in results)
    if len(count) <= 1:
        return next(iter(count), "unknown")
    return ", ".join(f"{name} ({number} videos)" for name, number in sorted(count.items()))
