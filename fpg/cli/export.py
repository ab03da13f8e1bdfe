"""fpg-export: trained weights to ONNX, OpenVINO or TensorRT, checked against torch before anything is left on disk."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fpg.cli.entry import add_version, run
from fpg.cli.help import Help
from fpg.cli.model_option import add_model, one_of
from fpg.common.console import console, table
from fpg.common.errors import InputError, UsageError
from fpg.common.spec import read_spec, sidecar
from fpg.engines.resolve import resolve_model

if TYPE_CHECKING:
    from fpg.common.spec import EngineSpec
    from fpg.data.manifest import Manifest
    from fpg.export.exporter import Exported
    from fpg.export.parity import FaceParity, Parity
    from fpg.export.targets import BuildOptions

EXAMPLES = """examples:
  fpg-export --to onnx -o engines                                             the starter
  fpg-export --model runs/a/model.safetensors --to openvino -o engines
  fpg-export runs/a/model.safetensors --to onnx -o engines --precision fp16 --check prepared/ff
  fpg-export runs/a/model.safetensors --to tensorrt-rtx -o engines --precision fp16 --batch 1,8,32
  fpg-export runs/a/model.safetensors --to openvino -o engines --precision int8 --calibrate prepared/ff
  fpg-export runs/a/model.safetensors --to openvino -o engines --triton models
  fpg-export --faces --to tensorrt-rtx --precision fp16 -o engines
  fpg-export --verify engines/model-tensorrt-rtx-fp16.engine --inspect
"""


def main(argv: list[str] | None = None) -> int:
    """Entry point; exit code 0 done, 1 the checkpoint cannot be exported or differs past tolerance, 2 wrong usage."""
    return run(lambda: _main(parser().parse_args(argv)))


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-export."""
    p = argparse.ArgumentParser(
        prog="fpg-export",
        description="Export trained weights. The result has two outputs (logits; activation map, if any), takes batches of any size, "
        "and is compared with torch: beyond the tolerance the export fails and leaves nothing behind.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    add_version(p)
    p.add_argument("named", metavar="MODEL", nargs="?", help="the same as --model MODEL")
    add_model(p)
    p.add_argument("--to", metavar="TARGET", help="onnx, openvino, tensorrt or tensorrt-rtx")
    p.add_argument("-o", "--out", metavar="DIR", type=Path, help="folder for the result")
    p.add_argument("--precision", default="fp32", metavar="P", help="fp32 (default), fp16, int8; TensorRT also bf16, fp8")
    p.add_argument("--name", metavar="STEM", help="name of the result without suffix (default: STEM-TARGET-PRECISION)")
    p.add_argument("--check", metavar="DATA", type=Path, help="prepared data set whose crops are used to compare (default: random images)")
    p.add_argument("--images", metavar="N", type=int, help="how many crops to compare on, evenly spaced (default 16; int8, fp8: 100)")
    eight = p.add_argument_group("int8, fp8")
    eight.add_argument(
        "--calibrate",
        metavar="DATA",
        type=Path,
        help="prepared data set with the crops to measure activation ranges on; without --check, its other crops are used to compare",
    )
    eight.add_argument("--calibration-images", default=300, metavar="N", type=int, help="how many crops, evenly spaced (default 300)")
    engines = p.add_argument_group("TensorRT engines")
    engines.add_argument(
        "--batch", metavar="B,B", type=_batches, help="batch buckets, each with its own optimisation profile (default 1,8,32)"
    )
    engines.add_argument("--timing-cache", metavar="FILE", type=Path, help="makes later builds on the same GPU faster (tensorrt)")
    engines.add_argument("--version-compatible", action="store_true", help="runs on later versions of TensorRT too (tensorrt)")
    engines.add_argument("--hardware-compatible", action="store_true", help="runs on other GPUs too, slower (tensorrt)")
    p.add_argument(
        "--faces",
        action="store_true",
        help="export MediaPipe's face detector and mesh instead of a detector, for fpg-detect --face-engines",
    )
    p.add_argument(
        "--triton",
        metavar="DIR",
        type=Path,
        help="also put the result into a Triton model repository; without --to, MODEL may be an exported model",
    )
    engines.add_argument("--verify", metavar="MODEL", type=Path, help="compare an exported model with its reference output on this machine")
    engines.add_argument("--inspect", action="store_true", help="print the layers of the engine (needs a GPU)")
    return p


def _batches(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers, comma-separated, got {text}") from None


def _options(args: argparse.Namespace) -> BuildOptions | None:
    from fpg.export.targets import BuildOptions

    given = {"batches": args.batch, "timing_cache": args.timing_cache}
    given |= {name: getattr(args, name) or None for name in ("version_compatible", "hardware_compatible")}
    chosen = {name: value for name, value in given.items() if value is not None}
    return BuildOptions(**chosen) if chosen else None


def _verify(path: Path, inspects: bool) -> int:
    from fpg.export.exporter import verify_engine

    difference, tolerance = verify_engine(path)
    console.print(f"{path}: probability differs by {difference:.2e} from the reference output (allowed {tolerance:g})")
    if inspects:
        _inspect(path)
    if not difference <= tolerance:
        raise InputError(path, "does not match its reference output on this machine; export it again here")
    return 0


def _inspect(path: Path) -> None:
    from fpg.export.tensorrt import inspect

    spec = read_spec(path)
    if not spec.backend.startswith("tensorrt"):
        raise UsageError(f"--inspect: {path.name} is not a TensorRT engine")
    rows = [[layer.get("Name", ""), layer.get("LayerType", ""), layer.get("TacticName", "")] for layer in inspect(spec.backend, path)]
    table(f"layers of {path.name}", ["name", "type", "tactic"], rows)


def _without_export(args: argparse.Namespace, named: str | None) -> int | None:
    """Do what needs no export of a detector: --verify, --faces, --triton of an exported model; None where an export is asked for."""
    if args.verify is not None:
        if named is not None or args.to is not None:
            raise UsageError("--verify: takes a model that was exported, without MODEL and --to")
        return _verify(args.verify, args.inspect)
    if args.faces:
        if named is not None:
            raise UsageError("--faces: takes no MODEL")
        return _faces_exported(args)
    if args.triton is not None and named is not None and args.to is None:
        _serve(resolve_model(named).path, args.triton, args.name)
        return 0
    return None


def _main(args: argparse.Namespace) -> int:
    named = one_of(args.model, args.named)
    if (code := _without_export(args, named)) is not None:
        return code
    for name, value in (("--to", args.to), ("--out", args.out)):
        if value is None:
            raise UsageError(f"{name} is required (or --verify MODEL)")
    from fpg.export.exporter import ExportRefused, export_detector  # imports torch: not for --help
    from fpg.export.quantize import CalibrationSet

    count = args.images if args.images is not None else (16 if args.calibrate is None else 100)
    if min(count, args.calibration_images) < 1:
        raise UsageError(f"--images, --calibration-images: expected at least 1, got {args.images}, {args.calibration_images}")
    checkpoint = resolve_model(named, weights=True).path
    spec = read_spec(checkpoint)
    calibration = None
    pictures: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
    source = "random images"
    used: list[int] = []
    if args.calibrate is not None:
        known = read_prepared(args.calibrate)
        used = evenly(range(len(known.faces)), min(args.calibration_images, max(1, len(known.faces) // 2)))
        images, _ = crops(known, used, spec)
        calibration = CalibrationSet(images, args.calibrate.name, hashlib.sha256(images.tobytes()).hexdigest())
    check = args.check or args.calibrate
    if check is not None:
        same = args.calibrate is not None and check.resolve() == args.calibrate.resolve()
        manifest = read_prepared(check)
        left = sorted(set(range(len(manifest.faces))) - set(used if same else ()))
        if not left:
            raise InputError(check, "holds no faces other than those used for calibration: name other data with --check")
        pictures = crops(manifest, evenly(left, count), spec)
        source = f"crops of {check.name}" + (" that were not used for calibration" if same else "")
    try:
        exported = export_detector(
            checkpoint,
            args.to,
            args.out,
            precision=args.precision,
            name=args.name,
            images=pictures[0],
            source=source,
            labels=pictures[1],
            calibration=calibration,
            options=_options(args),
        )
    except ExportRefused as error:
        for what, parity in error.tried:
            _show(f"{args.to} {args.precision}" + (f", {what} quantised" if what else ""), parity)
        raise InputError(error.path, f"export to {args.to} {args.precision} does not match torch's output; nothing was written") from error
    _tell(exported)
    if args.inspect and not exported.unproven:
        _inspect(exported.path)
    if args.triton is not None:
        _serve(exported.path, args.triton, args.name)
    return 0


def _faces_exported(args: argparse.Namespace) -> int:
    if args.to is None or args.out is None:
        raise UsageError("--faces: takes --to and --out")
    from fpg.export.faces import export_faces
    from fpg.faces.mediapipe import DETECTOR_FILE, LANDMARK_FILE, model_path

    models = {"face-detector": model_path(DETECTOR_FILE), "face-landmarks": model_path(LANDMARK_FILE)}
    for done in export_faces(models, args.to, args.out, precision=args.precision, options=_options(args)):
        _tell(done)
    return 0


def _tell(exported: Exported) -> None:
    """What became of an export."""
    _show(f"the ONNX graph of {exported.path.name}" if exported.unproven else exported.path.name, exported.parity)
    if exported.unproven:
        console.print(f"the engine itself was not run: {exported.unproven}")
        if exported.spec.reference is not None:
            console.print(f"on a machine with a GPU: fpg-export --verify {exported.path}")
    console.print(f"{exported.path} and {sidecar(exported.path).name}")


def _serve(model: Path, repository: Path, name: str | None) -> None:
    from fpg.export.triton import write_repository

    console.print(f"{write_repository(model, repository, name)}: start it with tritonserver --model-repository={repository}")


def _show(what: str, parity: Parity | FaceParity) -> None:
    table(f"{what} against torch, {parity.images} {parity.source}", ["output", "found", "allowed"], [list(row) for row in parity.rows()])


def read_prepared(data: Path) -> Manifest:
    """A prepared data set that holds faces."""
    from fpg.data.manifest import read_manifest

    manifest = read_manifest(data)
    if not manifest.faces:
        raise InputError(data, "holds no faces to compare on")
    return manifest


def evenly(indices: Sequence[int], count: int) -> list[int]:
    """At most that many of them, evenly spread."""
    return [indices[i] for i in np.unique(np.linspace(0, len(indices) - 1, count).astype(int))]


def crops(manifest: Manifest, indices: Sequence[int], spec: EngineSpec) -> tuple[np.ndarray, np.ndarray]:
    """Those faces as a model sees them, float32 [N, 3, S, S], and their labels [N]."""
    from fpg.common.crops import cut_face
    from fpg.data.crop_files import read_crop

    rows = [manifest.faces[i] for i in indices]
    crops = []
    for row in rows:
        try:
            crops.append(cut_face(read_crop(manifest.root, row), row.box, row.landmarks, spec.image_size, spec.crop))
        except ValueError as error:
            raise InputError(manifest.root / row.path, str(error)) from error
    return np.stack(crops), np.array([row.label for row in rows])


if __name__ == "__main__":
    raise SystemExit(main())
