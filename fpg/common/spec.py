"""EngineSpec: the JSON file next to every model file that says what it is and how to use it, checked before anything loads.

One format for trained weights (`.safetensors`) and for exported engines (`.onnx`, `.xml`, `.engine`). The sidecar of
`STEM.ext` is `STEM.spec.json`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fpg.common.constants import CONSTANTS, message
from fpg.common.errors import InputError
from fpg.common.files import sha256, write_json
from fpg.common.strict_json import parse_json

_MODELS = CONSTANTS["models"]
SCHEMA: str = _MODELS["schema"]
LARGEST_SIDE: int = _MODELS["largest_side"]
"""Image sizes beyond it are taken for damage."""
LARGEST_BATCH: int = _MODELS["largest_batch"]
LARGEST_NUMBER: float = _MODELS["largest_number"]
DETECTOR = "forgery-detector"
OUTPUTS = {
    DETECTOR: ("logits", "activation_map"),
    "face-detector": ("boxes", "scores"),
    "face-landmarks": ("points", "presence"),
}
"""What a network may be -> names of its outputs, in order; a detector without activation map (`map_size` null) has `logits` alone."""
CROPS: dict[str, str] = CONSTANTS["protocol"]["crops"]
"""What a crop rule of `fpg.common.crops` is called -> what it does."""
BOUNDED: tuple[str, ...] = tuple(_MODELS["bounded_levels"])
"""Levels of evidence that a score's bounds delimit."""
RELIABILITY: str = _MODELS["reliability"]
_RELIABILITY: tuple[str, ...] = tuple(_MODELS["reliability_fields"])
BACKENDS: tuple[str, ...] = tuple(_MODELS["backends"])


@dataclass(frozen=True)
class EngineSpec:
    """What a model file is, which bytes it consists of, and how its input and output are to be understood."""

    backend: str
    """One of `BACKENDS`."""
    model_file: str
    """Name of the file that is opened, next to the sidecar."""
    files: dict[str, str]
    """SHA-256 of every file of the model by name (`.xml` and `.bin`, external ONNX data too)."""
    detector: dict[str, Any]
    """`DetectorConfig` as a dict: backbone, image size, heads."""
    image_size: int
    """Side S of the input: float32 [B, 3, S, S], RGB, values in [0, 1], no mean or standard deviation outside the network."""
    map_size: tuple[int, int] | None
    """Height and width of the second output, `activation_map` float32 [B, h, w]; the first is `logits` float32 [B, 2]. None where the
    score is no mean over places, so that there is no such output (a linear layer on a class token, attention pooling)."""
    network: str = DETECTOR
    """One of `OUTPUTS`. Fields about scores mean nothing for the others, and `map_size` is (1, 1) there."""
    precision: str = "fp32"
    batch: tuple[int, int, int] | None = None
    """Smallest, usual and largest batch; None when any batch works."""
    build: dict[str, Any] | None = None
    """Of TensorRT engines: package and version that built it, batch buckets, options, compute capability it is bound to (or null)."""
    crop: str = "evaluation"
    """One of `CROPS`."""
    labels: tuple[str, str] = ("real", "fake")
    threshold: float = 0.5
    """Probability of fake from which a verdict says fake."""
    temperature: float = 1.0
    """Logits are divided by it before the softmax."""
    reference: dict[str, Any] | None = None
    """`{"seed": int, "batch": int, "logits": [[..]], "tolerance": float}`: the answer to `reference_input(seed, batch, S)`; the
    tolerance is a difference of probability."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Free-form: run, commit, seed, method, quality model, data, creation time, versions, parity table."""
    warnings: tuple[str, ...] = ()
    """What whoever reads a score of this model has to know, a line each; they go wherever its scores go."""
    reliability: dict[str, Any] | None = None
    """How far its scores can be relied on, measured by `fpg-eval --calibrate`: score bounds of the levels of evidence and the conditions
    they hold under (`fpg.findings.strength.Reliability`). None: not calibrated so."""
    schema: str = SCHEMA

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape without the batch, in order; what the face networks answer is told in `fpg.models.face_networks`."""
        detector: tuple[tuple[int, ...], ...] = ((2,),) if self.map_size is None else ((2,), self.map_size)
        shapes = {DETECTOR: detector, "face-detector": ((2304, 16), (2304,)), "face-landmarks": ((468, 3), ())}
        return dict(zip(OUTPUTS[self.network], shapes[self.network], strict=False))

    @property
    def stated_rate(self) -> str | None:
        """In words: what fraction of real videos the threshold was set to call fake, and on which, as `fpg-eval --calibrate` left it in
        `provenance["calibration"]`; None when that is not known."""
        fitted = self.provenance.get("calibration")
        if not isinstance(fitted, dict) or not isinstance(rate := fitted.get("wanted_fpr"), int | float):
            return None
        data, real = fitted.get("data"), fitted.get("real")
        names = [name for name in data if isinstance(name, str)] if isinstance(data, list | tuple) else []
        where = ", ".join(names) or "validation data"
        count = f"{real} real videos of " if _whole(real) else ""
        return message("stated_rate", rate=f"{100 * rate:.4g}", data=count + where)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, atomically."""
        write_json(path, dataclasses.asdict(self))

    def verify(self, folder: str | os.PathLike[str]) -> None:
        """Compare every file's hash.

        Raises:
            InputError: a file is missing or is not the one this sidecar describes.
        """
        for name, expected in self.files.items():
            path = Path(folder) / name
            if (actual := sha256(path)) != expected:
                raise InputError(path, f"does not match its sidecar (SHA-256 {actual[:12]}..., expected {expected[:12]}...)")


def reference_input(seed: int, batch: int, size: int) -> np.ndarray:
    """The input that a sidecar's reference output answers to: float32 [batch, 3, size, size] in [0, 1)."""
    return np.random.default_rng(seed).random((batch, 3, size, size), dtype=np.float32)


def sidecar(path: str | os.PathLike[str]) -> Path:
    """Path of the sidecar of a model file: `STEM.spec.json` next to it."""
    path = Path(path)
    return path.with_name(path.stem + ".spec.json")


def read_spec(model: str | os.PathLike[str]) -> EngineSpec:
    """The spec of a model file (the path of the model, not of the sidecar). Hashes are not checked here.

    Raises:
        InputError: no sidecar, not JSON, another schema, missing or unknown fields, values that mean nothing.
    """
    path = sidecar(model)
    if not Path(model).is_file():
        raise InputError(model, "no such file")
    try:
        value = parse_json(path.read_text(encoding="utf-8"), constants=False)
    except FileNotFoundError:
        raise InputError(model, f"has no sidecar {path.name}; export or save it with fpg, or import it first") from None
    except (OSError, ValueError) as error:
        raise InputError(path, f"is not a readable sidecar: {error}") from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise InputError(path, f"schema: expected {SCHEMA}, got {value.get('schema') if isinstance(value, dict) else type(value).__name__}")
    try:
        for key in ("map_size", "labels", "batch", "warnings"):
            if isinstance(value.get(key), list):
                value[key] = tuple(value[key])
        spec = EngineSpec(**value)
    except TypeError as error:
        raise InputError(path, f"fields do not fit: {error}") from error
    for name, expected, ok in _expectations(spec):
        if not ok:
            raise InputError(path, f"{name}: expected {expected}, got {json.dumps(getattr(spec, name))[:80]}")
    return spec


def _expectations(spec: EngineSpec) -> Iterator[tuple[str, str, bool]]:
    """(field, what it has to be, whether it is): everything that a program relies on after reading."""
    files = spec.files if isinstance(spec.files, dict) else {}
    plain = all(_plain(name) and isinstance(value, str) for name, value in files.items())
    yield "backend", f"one of {', '.join(BACKENDS)}", spec.backend in BACKENDS
    yield "files", "plain names, each with its SHA-256", bool(files) and plain
    yield "model_file", "one of the names in files", isinstance(spec.model_file, str) and spec.model_file in files
    yield "network", f"one of {', '.join(OUTPUTS)}", isinstance(spec.network, str) and spec.network in OUTPUTS
    yield "detector", "an object", isinstance(spec.detector, dict)
    yield "image_size", f"an integer from 1 to {LARGEST_SIDE}", _whole(spec.image_size) and spec.image_size <= LARGEST_SIDE
    side = spec.image_size if _whole(spec.image_size) else 1
    fits = _wholes(spec.map_size, 2) and max(spec.map_size or ()) <= side
    yield "map_size", "two integers from 1 to image_size, of a detector also null", fits or _mapless(spec)
    yield "precision", "a name", isinstance(spec.precision, str)
    batch = spec.batch is None or (_wholes(spec.batch, 3) and _rises(spec.batch) and spec.batch[2] <= LARGEST_BATCH)
    yield "batch", f"null or three integers from 1 to {LARGEST_BATCH} in rising order", batch
    yield "build", "null or an object", spec.build is None or (isinstance(spec.build, dict) and _is_json(spec.build))
    yield "crop", f"one of {', '.join(CROPS)}", isinstance(spec.crop, str) and spec.crop in CROPS
    yield "labels", "real, fake", spec.labels == ("real", "fake")
    yield "threshold", "a number in [0, 1]", _number(spec.threshold) and 0 <= spec.threshold <= 1
    yield "temperature", "a number > 0", _number(spec.temperature) and 0 < spec.temperature < math.inf
    yield "reference", "null or an object", spec.reference is None or isinstance(spec.reference, dict)
    yield "warnings", "a list of texts", isinstance(spec.warnings, tuple) and all(isinstance(text, str) for text in spec.warnings)
    yield "reliability", RELIABILITY, spec.reliability is None or _reliable(spec.reliability)
    yield "provenance", "an object without NaN or infinity", isinstance(spec.provenance, dict) and _is_json(spec.provenance)


def _reliable(value: object) -> bool:
    """Whether it has the fields of `fpg.findings.strength.Reliability`."""
    if not isinstance(value, dict) or not set(value) <= {*_RELIABILITY, "data"} or not set(value) >= set(_RELIABILITY):
        return False
    bounds, levels, conditions = (value[name] for name in ("bounds", "levels", "conditions"))
    if not all(isinstance(part, dict) for part in (bounds, levels, conditions)) or set(bounds) != set(BOUNDED):
        return False
    counts = [value["real"], value["fake"]]
    for level in levels.values():
        if not isinstance(level, dict) or set(level) != {"real", "fake"}:
            return False
        counts += level.values()
    data = value.get("data", [])
    return (
        all(bound is None or (_number(bound) and 0 <= bound <= 1) for bound in bounds.values())
        and all(_count(count) for count in counts)
        and all(_number(end) for end in conditions.values())
        and _number(value["weight"])
        and value["weight"] > 0
        and isinstance(data, list)
        and all(isinstance(name, str) for name in data)
    )


def _mapless(spec: EngineSpec) -> bool:
    return spec.map_size is None and spec.network == DETECTOR


def _plain(name: object) -> bool:
    """Whether a name is that of a file in the same folder."""
    return isinstance(name, str) and Path(name).name == name and "\0" not in name


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _count(value: object) -> bool:
    return (value == 0 and not isinstance(value, bool | float)) or _whole(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _wholes(values: object, count: int) -> bool:
    return isinstance(values, tuple) and len(values) == count and all(map(_whole, values))


def _rises(values: tuple[int, int, int]) -> bool:
    return values[0] <= values[1] <= values[2]


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
