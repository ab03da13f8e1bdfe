"""The card of a published detector: what it is, what it was made from, how it was measured, what it is for and what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import ModelCardData

from fpg.common.spec import CROPS, EngineSpec
from fpg.models.config import DetectorConfig

_TAGS = ["deepfake-detection", "face-forgery-detection", "forgery-perception-guidance", "fpg"]
_METRICS = {
    "auc": ("roc_auc", "AUC"),
    "ap": ("average_precision", "AP"),
    "eer": ("equal_error_rate", "EER"),
    "accuracy": ("accuracy", "Accuracy"),
}
"""Name in `metrics.json` -> (the Hub's identifier, what people read)."""

_LIMITS = """\
- A score is evidence, not proof. Compression, small or turned faces, filters, make-up and heavy editing change it, in both directions.
- It judges faces only. A forged voice, a forged caption, or an image without a face is outside what it sees.
- Manipulations that leave no trace of blending (whole generated images, talking-head generators) may pass for real.
- Error rates differ between groups of people, cameras and data sets; they were not measured here unless a table above says so.
- The threshold was not chosen for any population: choose it on data like yours, at the error rate that you can bear.
"""
_USES = """\
Meant for research on forgery detection, for comparing detectors, and for sorting material that a person then looks at.

Not meant for deciding by itself about a person (accusation, moderation without appeal, identity or credit checks, evidence in court), \
for watching people, or for training forgeries until they pass.
"""


def model_card(
    config: DetectorConfig,
    spec: EngineSpec | None,
    *,
    metrics: Mapping[str, Any] | None = None,
    license: str = "other",
    repo_id: str = "OWNER/NAME",
) -> str:
    """The text of a repository's `README.md`: YAML metadata, then Markdown.

    Args:
        config: of the detector.
        spec: its sidecar (provenance, threshold, temperature); None when it was never saved.
        metrics: what `fpg-eval --json` wrote.
        license: of the weights, an identifier of the Hub.
        repo_id: where it is published.
    """
    provenance = spec.provenance if spec else {}
    if license == "other" and isinstance(provenance.get("imported"), Mapping):
        license = str(provenance["imported"].get("license") or license)
    metrics = metrics or {}
    datasets = [row["dataset"] for row in metrics.get("by_dataset", [])]
    data = ModelCardData(
        license=license,
        library_name="fpg",
        pipeline_tag="image-classification",
        tags=_TAGS,
        datasets=sorted({*_trained_on(provenance), *datasets}) or None,
        metrics=[identifier for name, (identifier, _) in _METRICS.items() if metrics.get(name) is not None] or None,
    )
    sections = {
        "": _summary(config, spec, license),
        "Data": _data(provenance),
        "Protocol": _protocol(metrics),
        "Results": _results(metrics),
        "Limits": _LIMITS,
        "Intended use, and misuse": _USES,
        "How to use": _how_to_use(config, repo_id),
    }
    body = "\n\n".join((f"## {title}\n\n" if title else "# Deepfake detector\n\n") + text.strip() for title, text in sections.items())
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"


def _summary(config: DetectorConfig, spec: EngineSpec | None, license: str) -> str:
    provenance = spec.provenance if spec else {}
    given = "no mean or standard deviation"
    if config.mean:
        given = f"mean {_list(config.mean)} and standard deviation {_list(config.std)} inside"
    rows = [
        ("Method", provenance.get("method")),
        ("Network", f"{config.backbone}, {config.heads} heads"),
        (
            "Input",
            f"{CROPS[spec.crop] if spec else 'face crop'}, {config.image_size} x {config.image_size}, RGB in [0, 1], {given}",
        ),
        ("Output", f"two logits, 0 real and 1 fake; {'an activation map of the class fake' if config.has_map else 'no activation map'}"),
        ("Threshold, temperature", f"{spec.threshold:g}, {spec.temperature:g}" if spec else None),
        ("Weights", provenance.get("weights")),
        ("Seed", provenance.get("seed")),
        ("Commit of fpg", provenance.get("commit")),
        ("Preprocessing", provenance.get("preprocessing")),
        ("License of the weights", "not stated" if license == "other" else license),
    ]
    return "Tells real faces from forged ones in images and videos.\n\n" + _table(("", ""), [(a, b) for a, b in rows if b is not None])


def _trained_on(provenance: Mapping[str, Any]) -> list[str]:
    data = provenance.get("data")
    return [str(name) for name in data.get("folders", [])] if isinstance(data, Mapping) else []


def _data(provenance: Mapping[str, Any]) -> str:
    data, imported = provenance.get("data"), provenance.get("imported")
    if isinstance(imported, Mapping):
        place = imported.get("repository") or imported.get("folder")
        revision = f" at revision `{imported['revision']}`" if imported.get("revision") else ""
        source = f" of `{place}`{revision}" if place else ""
        origin = f"Imported from `{imported.get('file')}` (SHA-256 `{imported.get('sha256')}`){source}"
        lines = [f"{origin}, third-party weights: see their page for what they were trained on."]
        if missing := imported.get("missing"):
            lines += [f"**{len(missing)} tensors were not in that file** and have random numbers: {', '.join(missing[:5])}."]
        return " ".join(lines)
    if not isinstance(data, Mapping):
        return "Not recorded."
    rows = [
        ("Folders", ", ".join(_trained_on(provenance))),
        ("Training", _count(data, "train")),
        ("Validation", _count(data, "val")),
        ("Fingerprint", data.get("fingerprint")),
    ]
    return _table(("", ""), [(a, b) for a, b in rows if b])


def _count(data: Mapping[str, Any], split: str) -> str:
    faces, videos = data.get(f"{split}_faces"), data.get(f"{split}_videos")
    return "" if faces is None else f"{faces} faces of {videos} videos"


def _protocol(metrics: Mapping[str, Any]) -> str:
    protocol = metrics.get("protocol", {})
    fields = ("unit", "frames", "sampling", "crop", "aggregation", "compression")
    rows = [(name, protocol[name]) for name in fields if name in protocol]
    if not rows:
        return "Not evaluated when this card was written."
    model = metrics.get("model", {})
    used = f"{model.get('backend')} {model.get('precision')}, `{str(model.get('sha256'))[:12]}`"
    return f"{protocol.get('text', '')}\n\n" + _table(("", ""), [*rows, ("judged by", used)])


def _results(metrics: Mapping[str, Any]) -> str:
    if not metrics:
        return "None given. Evaluate with `fpg-eval` before relying on it."
    head = ("Videos of", *(title for _, title in _METRICS.values()), "videos", "without a score")
    lacking = metrics.get("failed", 0) + metrics.get("no_face", 0)
    rows = [("all", *map(_number, (metrics.get(name) for name in _METRICS)), metrics.get("videos"), lacking)]
    for row in [*metrics.get("by_dataset", []), *metrics.get("by_method", [])]:
        name = " / ".join(str(row[key]) for key in ("dataset", "method") if key in row)
        rows.append((name, *map(_number, (row.get(metric) for metric in _METRICS)), row.get("videos"), row.get("without_score")))
    return _table(head, rows)


def _how_to_use(config: DetectorConfig, repo_id: str) -> str:
    file = f"{repo_id.rsplit('/', 1)[-1]}.safetensors"
    return f"""\
```
fpg-import hf:{repo_id}
fpg-detect --model {file} clip.mp4
fpg-eval --model {file} --data DIR
```

```python
from fpg.models import Detector

detector = Detector.from_pretrained("{repo_id}")
logits = detector(faces).logits  # faces: float32 [B, 3, {config.image_size}, {config.image_size}], RGB in [0, 1]
```"""


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float | int) else "-"


def _list(values: Sequence[float] | None) -> str:
    return ", ".join(f"{value:g}" for value in values or ())


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
