"""A data sheet per run: what was trained on what, what it was evaluated on and how, every number with its protocol, what to beware of.

After Model Cards (Mitchell et al., FAT* 2019) and Datasheets for Datasets (Gebru et al., CACM 2021): what is recorded, no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fpg.common.files import atomic_write
from fpg.common.html import percent
from fpg.evaluate.compare_report import images, time
from fpg.evaluate.runs import EvaluatedRun

_SHOWN = (("auc", "AUC"), ("ap", "AP"), ("eer", "EER"), ("balanced_accuracy", "balanced accuracy"), ("tpr_at_fpr_1", "TPR at 1 % FPR"))


def write_sheets(folder: str | Path, runs: Sequence[EvaluatedRun]) -> list[Path]:
    """One Markdown file per run in a folder, which is made; atomically each.

    Raises:
        InputError: a file cannot be written.
    """
    written: list[Path] = []
    for run in runs:
        stem = re.sub(r"[^\w.-]+", "-", run.name).strip("-.") or "run"
        same = sum(path.stem.lower() == stem.lower() for path in written)
        path = Path(folder) / (f"{stem}-{len(written)}.md" if same else f"{stem}.md")
        with atomic_write(path, "w") as file:
            file.write(sheet(run))
        written.append(path)
    return written


def sheet(run: EvaluatedRun) -> str:
    """The data sheet of a run, as Markdown."""
    parts = [f"# Data sheet: {_plain(run.name)}", "## Detector", _facts(_detector(run)), "## Training", _facts(_training(run))]
    for file, evaluation in zip(run.files, run.evaluations, strict=True):
        parts += [f"## Evaluation: {_plain(str(file))}", *_evaluation(evaluation)]
    warnings = [*run.warnings, *run.notes]
    parts += ["## To beware of", "\n".join(f"- {_plain(text)}" for text in warnings) or "Nothing is recorded."]
    return "\n\n".join(parts) + "\n"


def _detector(run: EvaluatedRun) -> list[tuple[str, Any]]:
    model, known = run.model, run.provenance
    return [
        ("file", model.get("file")),
        ("SHA-256", model.get("sha256")),
        ("network", f"{model.get('backbone')} at {model.get('image_size')} px"),
        ("arithmetic", model.get("precision")),
        ("threshold", model.get("threshold")),
        ("temperature", model.get("temperature")),
        ("weights of", known.get("weights")),
    ]


def _training(run: EvaluatedRun) -> list[tuple[str, Any]]:
    known = run.provenance
    data, versions = known.get("data"), known.get("versions")
    data = data if isinstance(data, dict) else {}
    command = known.get("command")
    return [
        ("method", run.method),
        ("seed", run.seed),
        ("folders", ", ".join(map(str, data.get("folders") or []))),
        ("faces (videos) to train on", _counted(data, "train")),
        ("faces (videos) to validate on", _counted(data, "val")),
        ("data fingerprint (SHA-256 of the manifests)", data.get("fingerprint")),
        ("epochs, steps", f"{known.get('epochs')}, {known.get('steps')}" if known.get("epochs") else None),
        ("images learnt from", images(run.cost)),
        ("time of the steps", time(run.cost)),
        ("machine", run.cost.device),
        ("software", ", ".join(f"{k} {v}" for k, v in versions.items() if v) if isinstance(versions, dict) else None),
        ("commit", known.get("commit")),
        ("command", " ".join(map(str, command)) if isinstance(command, list) else command),
    ]


def _counted(data: dict[str, Any], split: str) -> str | None:
    faces = data.get(f"{split}_faces")
    return None if faces is None else f"{faces} ({data.get(f'{split}_videos')})"


def _evaluation(m: dict[str, Any]) -> Iterator[str]:
    protocol = m.get("protocol")
    protocol = protocol if isinstance(protocol, dict) else {}
    yield f"Protocol: {_plain(str(protocol.get('text') or 'unknown'))}."
    chosen = [str(line) for line in protocol.get("data") or []] + [str(protocol[k]) for k in ("crop", "aggregation") if protocol.get(k)]
    if chosen:
        yield "\n".join(f"- {_plain(line)}" for line in chosen)
    parts = m.get("by_dataset")
    rows = [("all", m)] + [(str(p.get("dataset")), p) for p in (parts if isinstance(parts, list) and len(parts) > 1 else [])]
    head = ["data", "real", "fake", *(title for _, title in _SHOWN)]
    lines = [head, ["---"] * len(head)]
    lines += [[_plain(name), str(p.get("real", "–")), str(p.get("fake", "–")), *(_value(p, key) for key, _ in _SHOWN)] for name, p in rows]
    yield "\n".join("| " + " | ".join(line) + " |" for line in lines)
    if isinstance(m.get("bootstrap"), dict):
        yield f"In brackets: 95 % intervals; {_plain(str(m['bootstrap'].get('method')))}."
    if m.get("command"):
        yield f"```\n{m['command']}\n```"


def _value(values: dict[str, Any], name: str) -> str:
    value, bounds = values.get(name), (values.get("intervals") or {}).get(name)
    if not isinstance(value, int | float):
        return "–"
    return percent(value) + (f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]" if bounds else "")


def _facts(pairs: Sequence[tuple[str, Any]]) -> str:
    lines = [f"| {name} | {_plain(str(value))} |" for name, value in pairs if value not in (None, "")]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _plain(text: str) -> str:
    line = " ".join(text.split())
    return "".join("\\" + c if c in "\\`*_<>|#" else c for c in line)
