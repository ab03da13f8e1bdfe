"""The page that `fpg-detect` writes: findings, scores over time, suspicious faces with their activation maps, protocol, model, record."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from fpg.common import html
from fpg.common.models import Card, number_text
from fpg.findings.strength import INCONCLUSIVE, LITTLE, MODERATE, NONE, NOT_CALIBRATED, STRONG, WORDS, worst_first
from fpg.findings.tables import TABLES
from fpg.runtime.judgement import Highlight, Judgement
from fpg.runtime.overlay import map_scale, overlay

MAX_SECTIONS = 24
"""Inputs shown in detail; the rest are in the list."""
TONES = {STRONG: "fake", MODERATE: "fake", INCONCLUSIVE: "none", NOT_CALIBRATED: "none", LITTLE: "real", NONE: "real"}
"""Level -> the colour it is shown in; none by a model that is not calibrated, and none that says more than the finding does."""
NOT_JUDGED: str = TABLES["text"]["not_judged"]


def urgency(judgement: Judgement) -> tuple[int, float]:
    """Key that sorts judgements, worst first."""
    return worst_first(judgement.finding.level if judgement.finding else None, judgement.score)


def write_detect_report(
    path: str | os.PathLike[str],
    results: Iterable[dict[str, Any]],
    details: Mapping[int, Judgement],
    models: Sequence[dict[str, Any]],
    protocol: dict[str, Any],
    threshold: float,
    record: dict[str, Any],
    cards: Sequence[Card | None] = (),
) -> None:
    """Write the report of one run of `fpg-detect`, atomically.

    Args:
        path: of the HTML file.
        results: every input in order, as in the JSON; gone through more than once.
        details: of the most suspicious ones, by their number among the results: with frames and pictures.
        models, protocol: `describe_model` of each, and `describe_protocol`.
        threshold: probability from which the verdict is fake.
        record: of the run (`fpg.record.run.RunRecord.to_json`).
        cards: of the models, in their order.

    Raises:
        InputError: the file cannot be written.
    """
    names = short_names([result["input"] for result in results])
    shown = sorted(details, key=lambda number: urgency(details[number]))[:MAX_SECTIONS]
    scale = map_scale(h for number in shown for h in details[number].highlights)
    rows = [_row(result, names[number], f"input-{number}" if number in shown else None) for number, result in enumerate(results)]
    findings = sorted(rows, key=lambda row: worst_first(row["level"], row["score"]))
    html.write_page(
        path,
        "detect.html.j2",
        headline=_headline(findings),
        findings=findings,
        results=rows,
        sections=[_section(details[number], rows[number], number, scale) for number in shown],
        not_shown=sum(row["score"] is not None for row in rows) - len(shown),
        models=[model_facts(model) for model in models],
        protocol=protocol,
        threshold=threshold,
        record=record,
        record_facts=record_facts(record),
        known=[known for card in cards if card is not None and (known := card_facts(card))],
    )


def card_facts(card: Card) -> dict[str, Any]:
    """What a model's card says of its errors, and of what it cannot see; empty where it says nothing."""
    own = card.own
    lists = {key: [str(item) for item in own.get(key) or []] for key in ("blind_to", "intended_use", "misuse")}
    numbers = [number_text(number) for number in own.get("numbers") or []]
    if not numbers and not any(lists.values()):
        return {}
    return {"name": str(own.get("name") or card.path), "summary": str(own.get("summary") or ""), "numbers": numbers, **lists}


def record_facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    """The record of a run as lines for a page."""
    made, machine = record["fpg"], record["platform"]
    settings = {key: value for key, value in record["settings"].items() if value not in (None, False)}
    facts = [
        ("Case", record["case"]),
        ("Examiner", record["examiner"]),
        ("Started", record["started"]),
        ("Ended", record["ended"]),
        ("Program", f"{made['program']} {made['version']}, commit {made['commit'] or 'unknown'}"),
        ("Machine", f"{machine['system']}; {machine['processor']}"),
        ("Versions", plain(machine["versions"])),
        ("Command", shorten(shlex.join(record["command"]), 1000)),
        ("Folder", record["folder"]),
        ("Settings", plain(settings)),
        ("Schema", record["schema"]),
    ]
    return [(name, str(value)) for name, value in facts if value]


def exhibit_facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What was examined, as lines for a page: the bytes, what the file says of itself, its Content Credentials."""
    media, stream, credentials = result["media"] or {}, result["stream"], result["c2pa"]
    facts = [
        ("SHA-256", result["sha256"]),
        ("Size", f"{result['bytes']} bytes" if result["bytes"] is not None else None),
        ("Last changed", result["modified"]),
        ("Format", media.get("format")),
        ("Stream", f"number {stream['index']}, {stream['codec']}, {stream['width']} × {stream['height']}" if stream else None),
        ("Says it was made", media.get("created")),
        ("Says it was made with", media.get("encoder")),
        ("Says it was made on", media.get("device")),
        ("Content Credentials", credentials_text(credentials) if credentials else None),
    ]
    return [(name, str(value)) for name, value in facts if value]


def credentials_text(found: dict[str, Any]) -> str:
    """Content Credentials in words."""
    by = f" by {found['signer'] or 'an unnamed signer'}"
    trust = {True: ", whose certificate is trusted", False: ", whose certificate is not trusted", None: " (anybody may claim this name)"}
    state = {
        "absent": "none",
        "not_checked": f"not checked: {'; '.join(found['problems']) or 'no reason given'}",
        "present": f"signed{by}{trust[found['trusted']]}, unchanged since",
        "invalid": f"invalid: {'; '.join(found['problems']) or 'the signature is not valid'}",
    }[found["state"]]
    actions = [" ".join(filter(None, (a["action"], a["source"], a["software"] and f"({a['software']})"))) for a in found["actions"]]
    said = f"; says: {', '.join(actions)}" if actions else ""
    return f"{state}{said}. {found['note']}"


def _headline(findings: Sequence[dict[str, Any]]) -> str:
    """What came out, worst first."""
    if len(findings) == 1:
        return f"{findings[0]['short']}: {findings[0]['words']}."
    counts = Counter(row["words"] for row in findings)
    return f"{len(findings)} inputs: {', '.join(f'{count} {words}' for words, count in counts.items())}."


def _row(result: dict[str, Any], short: str, anchor: str | None) -> dict[str, Any]:
    finding, judged = result["finding"] or {}, result["score"] is not None
    level = finding.get("level", NOT_CALIBRATED) if judged else None
    return {
        "input": result["input"],
        "short": short,
        "anchor": anchor,
        "score": result["score"],
        "level": level,
        "tone": TONES[level] if level else "none",
        "words": WORDS[level] if level else NOT_JUDGED,
        "error": result["error"],
        "threshold": result["threshold"],
        "frames": len(result["frames"]),
        "with_face": sum(bool(frame["faces"]) for frame in result["frames"]),
        "sha256": result["sha256"],
    }


def track_rows(result: Judgement) -> list[dict[str, Any]]:
    """Every face through time, the most suspicious first: what it scores, how strong that is, where it is suspicious."""
    rows, portraits = [], {highlight.track: highlight for highlight in result.portraits}
    for track in sorted(result.tracks, key=lambda track: -track.score):
        low, high = track.interval or (None, None)
        suspicious = [f"{html.clock(part.start_s)} to {html.clock(part.end_s)} (score {part.score:.2f})" for part in track.segments]
        rows.append(
            {
                "face": track.track,
                "picture": html.picture(portraits[track.track].image, 96) if track.track in portraits else "",
                "score": track.score,
                "low": low,
                "high": high,
                "level": track.level,
                "words": WORDS[track.level],
                "tone": TONES[track.level],
                "frames": track.frames,
                "span": f"{html.clock(track.start_s)} to {html.clock(track.end_s)}",
                "suspicious": "; ".join(suspicious),
            }
        )
    return rows


def _section(result: Judgement, row: dict[str, Any], number: int, scale: float) -> dict[str, Any]:
    faces = [face_figure(h, scale, video=len(result.frames) > 1) for h in result.highlights]
    chart = score_chart(result, f"t{number}") if len(result.frames) > 1 else None
    models = [
        {"name": m.name, "score": m.score, "threshold": m.threshold, "words": WORDS[m.level], "tone": TONES[m.level], "weight": m.weight}
        for m in result.models
    ]
    return {
        **row,
        "chart": chart,
        "faces": faces,
        "maps": any(face["overlay"] for face in faces),
        "exhibit": exhibit_facts(result.to_json()),
        "text": result.finding.text if result.finding else "",
        "models": models,
        "tracks": track_rows(result),
        "shots": len(result.shots),
    }


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
    """Score of each frame over time: gaps where no face was found, suspicious segments shaded, threshold and cuts as lines."""
    figure, axes = html.chart()
    timed = any(frame.time_s > 0 for frame in result.frames)
    x = [frame.time_s if timed else float(frame.index) for frame in result.frames]
    y = [float("nan") if frame.score is None else frame.score for frame in result.frames]
    axes.axhspan(result.threshold, 1.02, color=html.FAKE, alpha=0.08, linewidth=0)
    axes.axhline(result.threshold, color=html.FAKE, linewidth=0.9, linestyle=(0, (4, 3)))
    for part in (part for track in result.tracks for part in track.segments):
        edges = (part.start_s, part.end_s) if timed else (part.first_frame, part.last_frame)
        axes.axvspan(*edges, ymax=0.06, color=html.FAKE, alpha=0.5, linewidth=0)
    for shot in result.shots[1:]:
        axes.axvline(shot.start_s if timed else shot.first_frame, color=html.INK, linewidth=0.6, linestyle=(0, (1, 3)))
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
