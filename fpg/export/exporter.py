"""Export a detector: write into a hidden folder, prove it against torch, and only then move it into place."""

from __future__ import annotations

import dataclasses
import importlib
import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fpg.common.errors import InputError, MissingDependencyError, UsageError
from fpg.common.files import sha256
from fpg.common.openvino import core
from fpg.common.spec import EngineSpec, read_spec, reference_input, sidecar
from fpg.engines import CheckedEngine, Engine, load_engine, reference_difference
from fpg.engines.openvino import OpenVinoEngine
from fpg.export.graph import of_detector
from fpg.export.parity import TOLERANCES, FaceParity, Parity, compare_outputs, random_images
from fpg.export.quantize import CALIBRATED, STEPS, CalibrationSet, steps
from fpg.export.targets import BuildOptions, target
from fpg.models.detector import load_detector


@dataclass(frozen=True)
class Exported:
    """What an export left behind."""

    path: Path
    """The model file."""
    spec: EngineSpec
    parity: Parity | FaceParity
    """Of the model; of the ONNX graph that a TensorRT engine was built from where the engine cannot run on this machine."""
    unproven: str = ""
    """Why it cannot; `verify_engine` makes up for it elsewhere."""


class ExportRefused(InputError):
    """Differences past tolerance; nothing was written."""

    def __init__(self, path: str | os.PathLike[str], reason: str, tried: list[tuple[str, Parity]]) -> None:
        found = "; ".join(f"{what} quantised: {parity}" if what else str(parity) for what, parity in tried)
        super().__init__(path, f"{reason}: {found}; nothing was written")
        self.tried = tried
        """(what was quantised, or nothing; what came out), in turn."""


def export_detector(
    checkpoint: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str],
    *,
    precision: str = "fp32",
    name: str | None = None,
    images: np.ndarray | None = None,
    source: str = "random images",
    labels: np.ndarray | None = None,
    calibration: CalibrationSet | None = None,
    options: BuildOptions | None = None,
) -> Exported:
    """Export trained weights and check the result against torch.

    Args:
        checkpoint: `STEM.safetensors` with its sidecar.
        to: one of `fpg.export.targets.TARGETS`.
        out: folder; created if missing.
        precision: `fp32`, `fp16`, `bf16`, `int8` or `fp8`, as far as the target supports them.
        name: stem of the result; by default `STEM-TARGET-PRECISION`.
        images: float32 [N, 3, S, S] in [0, 1] to compare on; random ones when None.
        source: describes the images.
        labels: int [N], 0 real, 1 fake: compares the AUC, too.
        calibration: crops for int8 and fp8, different from `images`.
        options: for TensorRT engines.

    Raises:
        UsageError: a target or precision that does not exist, or a name whose sidecar belongs to another model.
        InputError: an unusable checkpoint, a network that the target's converter refuses, differences beyond the tolerance
            (`ExportRefused`), or a folder that cannot be written. Nothing is left behind.
        MissingDependencyError: a package of the target is not installed.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    writer = target(to, precision, options)
    if (precision in CALIBRATED) != (calibration is not None):
        raise UsageError(f"--calibrate: {'needed for' if calibration is None else 'is for int8 and fp8, not for'} --precision {precision}")
    if calibration is not None and images is None:
        raise UsageError(f"--precision {precision}: is checked on real crops that were not used for calibration; give images")
    stem = name or f"{checkpoint.stem}-{to}-{precision}"
    if Path(stem).name != stem:
        raise UsageError(f"--name: expected a plain file name without folders, got {stem}")
    final = out / (stem + writer.SUFFIX)
    _refuse_foreign_sidecar(final)
    detector, trained = load_detector(checkpoint)
    with ExitStack() as cleanup:
        for parent in reversed([folder for folder in (out, *out.parents) if not folder.exists()]):
            cleanup.callback(_remove_if_empty, parent)
        folder = Path(cleanup.enter_context(hidden_folder(out, stem)))
        draft = folder / final.name
        reference = load_engine(checkpoint, device="cpu", verify=False)
        chosen = random_images(trained.image_size) if images is None else images
        refused: list[tuple[str, Parity]] = []
        for step in steps(precision):
            for path in folder.iterdir():
                path.unlink()
            try:
                build = writer.write(of_detector(detector), draft, precision, None if calibration is None else calibration.images, step)
            except (RuntimeError, ValueError, OSError, torch.onnx.OnnxExporterError) as error:
                raise InputError(checkpoint, f"cannot be exported to {to}: {error}") from error
            spec = described(trained, draft, to, precision, build)
            spec.write(sidecar(draft))
            engine, unproven = load_exported(draft, spec)
            parity = compare_outputs(reference, engine, chosen, source, TOLERANCES[precision], labels)
            if parity.passed:
                break
            refused.append((STEPS[step] if calibration is not None else "", parity))
        else:
            raise ExportRefused(checkpoint, f"export to {to} {precision} does not match torch's output", refused)
        origin = {"file": checkpoint.name, "sha256": trained.files[checkpoint.name]}
        proof = {**dataclasses.asdict(parity), "tolerance": parity.tolerance._asdict()}
        provenance = {**trained.provenance, "exported_from": origin, "parity": {"not_run": unproven, "onnx": proof} if unproven else proof}
        if calibration is not None:
            made_on = {"source": calibration.source, "images": len(calibration.images), "sha256": calibration.sha256}
            provenance["calibration"] = {**made_on, "quantised": STEPS[step]}
        spec = dataclasses.replace(spec, provenance=provenance, reference=_reference(trained, precision, engine))
        spec.write(sidecar(draft))
        publish(folder, out, last=sidecar(draft).name)
    return Exported(final, spec, parity, unproven)


def described(spec: EngineSpec, draft: Path, to: str, precision: str, build: dict[str, Any] | None) -> EngineSpec:
    """A spec with what is known of a model file that was just written, and of the files next to it."""
    return dataclasses.replace(
        spec,
        backend=to,
        model_file=draft.name,
        files={path.name: sha256(path) for path in sorted(draft.parent.iterdir())},
        precision=precision,
        build=build,
        batch=(1, build["batches"][0], build["batches"][-1]) if build else None,
    )


def load_exported(model: Path, spec: EngineSpec) -> tuple[CheckedEngine, str]:
    """What to compare with torch: the engine, or where a TensorRT engine cannot run here, the ONNX graph that it was built from, and why.

    ONNX Runtime does literally what stands in the graph, with its rounding to 8 or 16 bits; bfloat16, which it does not compute with on a
    CPU, runs on OpenVINO.

    Raises:
        MissingDependencyError: another engine's package is not installed.
    """
    try:
        return load_engine(model, device="cuda" if spec.build else "cpu", network=spec.network), ""
    except MissingDependencyError as error:
        if spec.build is None:
            raise
        graph = model.with_suffix(".onnx")
        if spec.precision == "bf16":
            hint = {"INFERENCE_PRECISION_HINT": "bf16"}
            return OpenVinoEngine(core().compile_model(str(graph), "CPU", hint), spec, "CPU"), str(error)
        return importlib.import_module("fpg.engines.onnxruntime").load(graph, spec, "cpu", None), str(error)


def _reference(trained: EngineSpec, precision: str, engine: Engine) -> dict[str, Any] | None:
    """What `verify_engine` compares with: torch's output, or the engine's own where less precise arithmetic may differ from it."""
    if trained.reference is None:
        return None
    tolerance = TOLERANCES[precision]
    reference = {**trained.reference, "tolerance": tolerance.probability}
    if tolerance.share == 1:
        return reference
    images = reference_input(reference["seed"], reference["batch"], trained.image_size)
    return {**reference, "logits": engine(images).logits.astype(float).tolist()}


def verify_engine(model: str | os.PathLike[str]) -> tuple[float, float]:
    """Compare an engine's output on this machine with torch's output after training, the reference output in its sidecar.

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


def hidden_folder(out: Path, stem: str) -> tempfile.TemporaryDirectory[str]:
    """A folder inside `out` to write into until all is proven; gone at the end.

    Raises:
        InputError: `out` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=f".{stem}.", suffix=".part", dir=out)
    except OSError as error:
        raise InputError(out, f"cannot be written: {error.strerror or error}") from error


def publish(folder: Path, out: Path, last: str) -> None:
    """Move the files into place, the sidecar last: until then their hashes are vouched for by nobody."""
    try:
        for path in sorted(folder.iterdir(), key=lambda path: path.name == last):
            os.replace(path, out / path.name)
    except OSError as error:
        raise InputError(out, f"cannot be written: {error.strerror or error}") from error


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
