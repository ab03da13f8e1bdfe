"""MediaPipe's face networks as engines, by the same writers as the detector: find, align and judge faces on one kind of engine."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fpg.common.errors import InputError, UsageError
from fpg.common.files import sha256
from fpg.common.spec import EngineSpec, sidecar
from fpg.export.exporter import Exported, described, hidden_folder, load_exported, publish
from fpg.export.graph import ExportNetwork
from fpg.export.parity import FaceParity, max_or_nan, random_images
from fpg.export.targets import BuildOptions, target
from fpg.models.face_networks import SIDE, FaceDetectorNetwork, FaceLandmarkNetwork

PRECISIONS = ("fp32", "fp16")
TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2}
"""Largest difference of an output from torch, as a fraction of its largest magnitude, by precision."""
MODULES = {"face-detector": FaceDetectorNetwork, "face-landmarks": FaceLandmarkNetwork}


def export_faces(
    models: dict[str, Path], to: str, out: str | os.PathLike[str], *, precision: str = "fp32", options: BuildOptions | None = None
) -> list[Exported]:
    """Write `face-detector-TARGET-PRECISION` and `face-landmarks-TARGET-PRECISION`, each with its sidecar, and compare them with torch.

    Args:
        models: `face-detector` and `face-landmarks` -> their `.tflite` files (`fpg.faces.mediapipe.model_path`).
        to: one of `fpg.export.targets.TARGETS`.
        out: folder; made when missing.
        precision: `fp32` or `fp16`.
        options: of TensorRT engines.

    Raises:
        UsageError: a target or precision that does not exist.
        InputError: files that are not the networks, a network that the target's converter refuses, differences past tolerance, or a folder
            that cannot be written. What was not proven is not left behind.
        MissingDependencyError: a package of the target is not installed.
    """
    writer = target(to, precision, options)
    if precision not in PRECISIONS:
        raise UsageError(f"--precision: the face networks have {', '.join(PRECISIONS)}, got {precision}")
    done = []
    for kind, source in models.items():
        network = ExportNetwork(MODULES[kind](source).eval(), SIDE, kind)
        stem = f"{kind}-{to}-{precision}"
        final = Path(out) / (stem + writer.SUFFIX)
        with hidden_folder(Path(out), stem) as hidden:
            draft = Path(hidden) / final.name
            try:
                build = writer.write(network, draft, precision)
            except (RuntimeError, ValueError, OSError, torch.onnx.OnnxExporterError) as error:
                raise InputError(source, f"cannot be exported to {to}: {error}") from error
            known = EngineSpec(to, draft.name, {}, {}, SIDE, (1, 1), network=kind)
            spec = described(known, draft, to, precision, build)
            spec.write(sidecar(draft))
            engine, unproven = load_exported(draft, spec)
            parity = _compare(network, engine, precision)
            if not parity.passed:
                raise InputError(source, f"export to {to} {precision} does not match torch's output: {parity}; nothing was written")
            proof = {"not_run": unproven, "onnx": asdict(parity)} if unproven else asdict(parity)
            provenance = {"exported_from": {"file": Path(source).name, "sha256": sha256(source)}, "parity": proof}
            spec = replace(spec, provenance=provenance)
            spec.write(sidecar(draft))
            publish(Path(hidden), Path(out), last=sidecar(draft).name)
        done.append(Exported(final, spec, parity, unproven))
    return done


def _compare(network: ExportNetwork, engine: Any, precision: str) -> FaceParity:
    images = random_images(network.size, 6)
    largest = dict.fromkeys(network.outputs, 0.0)
    scale = dict.fromkeys(network.outputs, 1.0)
    for part in (images[:1], images[1:3], images[3:]):
        with torch.no_grad():
            expected = [value.numpy() for value in network.module(torch.from_numpy(part))]
        for name, theirs, ours in zip(network.outputs, expected, engine.run(part), strict=True):
            largest[name] = max_or_nan(largest[name], np.abs(ours - theirs))
            scale[name] = max(scale[name], float(np.abs(theirs).max()))
    return FaceParity(len(images), "random images", {name: largest[name] / scale[name] for name in network.outputs}, TOLERANCES[precision])
