"""Export a detector: write into a hidden folder, prove it against torch, and only then move it into place."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fpg.common.errors import InputError, MissingDependencyError, UsageError
from fpg.common.files import sha256
from fpg.common.spec import EngineSpec, read_spec, sidecar
from fpg.engines import load_engine, reference_difference
from fpg.export.parity import MAP_TOLERANCE, Parity, compare, random_images
from fpg.export.targets import BuildOptions, target
from fpg.models.detector import load_detector


@dataclass(frozen=True)
class Exported:
    """What an export left behind."""

    path: Path
    """The model file."""
    spec: EngineSpec
    parity: Parity | None
    """None where the engine cannot run on this machine; `unproven` says why, and `verify` makes up for it elsewhere."""
    unproven: str = ""


def export_detector(
    checkpoint: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str],
    *,
    precision: str = "fp32",
    name: str | None = None,
    images: np.ndarray | None = None,
    source: str = "random images",
    options: BuildOptions | None = None,
) -> Exported:
    """Export trained weights and check the result against torch.

    Args:
        checkpoint: `STEM.safetensors` with its sidecar.
        to: one of `fpg.export.targets.TARGETS`.
        out: folder; made when missing.
        precision: `fp32` or `fp16`.
        name: stem of the result; by default `STEM-TARGET-PRECISION`.
        images: float32 [N, 3, S, S] in [0, 1] to compare on; random ones when None.
        source: what the images are.
        options: of TensorRT engines.

    Raises:
        UsageError: a target or precision that does not exist, or a name whose sidecar belongs to another model.
        InputError: an unusable checkpoint, a network that the target's converter refuses, differences past tolerance, or a folder
            that cannot be written. Nothing is left behind.
        MissingDependencyError: a package of the target is not installed.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    writer = target(to, precision, options)
    stem = name or f"{checkpoint.stem}-{to}-{precision}"
    if Path(stem).name != stem:
        raise UsageError(f"--name: expected a plain file name without folders, got {stem}")
    final = out / (stem + writer.SUFFIX)
    _refuse_foreign_sidecar(final)
    detector, trained = load_detector(checkpoint)
    with ExitStack() as cleanup:
        for parent in reversed([folder for folder in (out, *out.parents) if not folder.exists()]):
            cleanup.callback(_remove_if_empty, parent)
        folder = Path(cleanup.enter_context(_hidden_folder(out, stem)))
        draft = folder / final.name
        try:
            build = writer.write(detector, draft, precision)
        except (RuntimeError, ValueError, OSError, torch.onnx.OnnxExporterError) as error:
            raise InputError(checkpoint, f"cannot be exported to {to}: {error}") from error
        files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
        buckets = (1, build["batches"][0], build["batches"][-1]) if build else None
        spec = dataclasses.replace(trained, backend=to, model_file=draft.name, files=files, precision=precision, build=build, batch=buckets)
        spec.write(sidecar(draft))
        chosen = random_images(spec.image_size) if images is None else images
        reference = load_engine(checkpoint, device="cpu", verify=False)
        parity, unproven = None, ""
        try:
            engine = load_engine(draft, device="cuda" if build else "cpu")
        except MissingDependencyError as error:
            if build is None:
                raise
            unproven = str(error)  # built ahead of time, for another machine
        else:
            parity = compare(reference, engine, chosen, source, MAP_TOLERANCE[precision])
        if parity is not None and not parity.passed:
            raise InputError(checkpoint, f"export to {to} {precision} does not answer as torch does: {parity}; nothing was written")
        origin = {"file": checkpoint.name, "sha256": trained.files[checkpoint.name]}
        proof = dataclasses.asdict(parity) if parity else {"not_run": unproven}
        provenance = {**trained.provenance, "exported_from": origin, "parity": proof}
        spec = dataclasses.replace(spec, provenance=provenance)
        spec.write(sidecar(draft))
        _publish(folder, out, last=sidecar(draft).name)
    return Exported(final, spec, parity, unproven)


def verify(model: str | os.PathLike[str]) -> tuple[float, float]:
    """Whether an engine answers on this machine as torch did when it was trained: the reference output in its sidecar.

    Returns:
        (largest difference of probability, tolerance).

    Raises:
        InputError, MissingDependencyError: see `fpg.engines.load_engine`; a sidecar without a reference output.
    """
    engine = load_engine(model)
    if engine.spec.reference is None:
        raise InputError(model, "its sidecar has no reference output to compare with")
    return reference_difference(engine), float(engine.spec.reference["tolerance"])


def _refuse_foreign_sidecar(model: Path) -> None:
    """A sidecar of the same stem that describes another model would be overwritten: refuse."""
    existing = sidecar(model)
    if existing.is_file() and model.is_file() and read_spec(model).model_file == model.name:
        return
    for other in model.parent.glob("*"):
        if other.stem == model.stem and other.name != model.name and other.suffix in (".safetensors", ".onnx", ".xml", ".engine"):
            raise UsageError(f"--name: {sidecar(model).name} in {model.parent} belongs to {other.name}; choose another name")


def _hidden_folder(out: Path, stem: str) -> tempfile.TemporaryDirectory[str]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=f".{stem}.", suffix=".part", dir=out)
    except OSError as error:
        raise InputError(out, f"cannot be written: {error.strerror or error}") from error


def _publish(folder: Path, out: Path, last: str) -> None:
    """Move the files into place, the sidecar last: until then their hashes are vouched for by nobody."""
    try:
        for path in sorted(folder.iterdir(), key=lambda path: path.name == last):
            os.replace(path, out / path.name)
    except OSError as error:
        raise InputError(out, f"cannot be written: {error.strerror or error}") from error


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
