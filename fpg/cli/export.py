"""fpg-export: trained weights to ONNX, OpenVINO or TensorRT, checked against torch before anything is left on disk."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fpg.cli.entry import run
from fpg.common.console import console, table
from fpg.common.errors import InputError, UsageError
from fpg.common.spec import read_spec, sidecar

if TYPE_CHECKING:
    from fpg.export.parity import Parity
    from fpg.export.targets import BuildOptions

EXAMPLES = """examples:
  fpg-export runs/a/model.safetensors --to openvino -o engines
  fpg-export runs/a/model.safetensors --to onnx -o engines --precision fp16 --check prepared/ff
  fpg-export runs/a/model.safetensors --to tensorrt-rtx -o engines --precision fp16 --batch 1,8,32
  fpg-export --verify engines/model-tensorrt-rtx-fp16.engine --inspect
"""


def main(argv: list[str] | None = None) -> int:
    """Entry point; exit code 0 done, 1 the checkpoint cannot be exported or differs past tolerance, 2 wrong usage."""
    return run(lambda: _main(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fpg-export",
        description="Export trained weights. The result has two outputs (logits, activation map), takes any batch, and is compared with "
        "torch: past tolerance the export fails and leaves nothing behind.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", metavar="CKPT", type=Path, nargs="?", help="STEM.safetensors with STEM.spec.json beside it")
    parser.add_argument("--to", metavar="TARGET", help="onnx, openvino, tensorrt or tensorrt-rtx")
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, help="folder of the result")
    parser.add_argument("--precision", default="fp32", metavar="P", help="fp32 (default) or fp16")
    parser.add_argument("--name", metavar="STEM", help="name of the result without suffix (default: STEM-TARGET-PRECISION)")
    parser.add_argument("--check", metavar="DATA", type=Path, help="prepared data set whose crops are compared on (default: random images)")
    parser.add_argument("--images", default=16, metavar="N", type=int, help="how many crops of --check, evenly chosen (default 16)")
    engines = parser.add_argument_group("TensorRT engines")
    engines.add_argument("--batch", metavar="B,B", type=_batches, help="batch buckets, an optimisation profile each (default 1,8,32)")
    engines.add_argument("--timing-cache", metavar="FILE", type=Path, help="makes later builds on the same GPU faster (tensorrt)")
    engines.add_argument("--version-compatible", action="store_true", help="runs on later versions of TensorRT too (tensorrt)")
    engines.add_argument("--hardware-compatible", action="store_true", help="runs on other GPUs too, slower (tensorrt)")
    engines.add_argument("--verify", metavar="MODEL", type=Path, help="compare an exported model with its reference output on this machine")
    engines.add_argument("--inspect", action="store_true", help="print the layers of the engine (needs a GPU)")
    return parser


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
    from fpg.export.exporter import verify

    difference, tolerance = verify(path)
    console.print(f"{path}: probability differs by {difference:.2e} from the reference output (allowed {tolerance:g})")
    if inspects:
        _inspect(path)
    if not difference <= tolerance:
        raise InputError(path, "does not answer as it should on this machine; export it again here")
    return 0


def _inspect(path: Path) -> None:
    from fpg.export.tensorrt import inspect

    spec = read_spec(path)
    if not spec.backend.startswith("tensorrt"):
        raise UsageError(f"--inspect: {path.name} is no TensorRT engine")
    rows = [[layer.get("Name", ""), layer.get("LayerType", ""), layer.get("TacticName", "")] for layer in inspect(spec.backend, path)]
    table(f"layers of {path.name}", ["name", "type", "tactic"], rows)


def _main(args: argparse.Namespace) -> int:
    if args.verify is not None:
        if args.checkpoint is not None or args.to is not None:
            raise UsageError("--verify: takes a model that was exported, without CKPT and --to")
        return _verify(args.verify, args.inspect)
    for name, value in (("CKPT", args.checkpoint), ("--to", args.to), ("--out", args.out)):
        if value is None:
            raise UsageError(f"{name} is required (or --verify MODEL)")
    from fpg.export.exporter import export_detector  # imports torch: not for --help

    if args.images < 1:
        raise UsageError(f"--images: expected at least 1, got {args.images}")
    images, source = None, "random images"
    if args.check is not None:
        images = _crops(args.check, read_spec(args.checkpoint).image_size, args.images)
        source = f"crops of {args.check.name}"
    exported = export_detector(
        args.checkpoint,
        args.to,
        args.out,
        precision=args.precision,
        name=args.name,
        images=images,
        source=source,
        options=_options(args),
    )
    if exported.parity is None:
        console.print(f"not compared with torch: {exported.unproven}")
        console.print(f"on a machine with a GPU: fpg-export --verify {exported.path}")
    else:
        _show(exported.path, exported.parity)
    if args.inspect and exported.parity is not None:
        _inspect(exported.path)
    console.print(f"{exported.path} and {sidecar(exported.path).name}")
    return 0


def _show(path: Path, parity: Parity) -> None:
    table(
        f"{path.name} against torch, {parity.images} {parity.source}",
        ["output", "largest difference", "allowed"],
        [
            ["probability of fake", f"{parity.probability:.2e}", f"{parity.tolerance:g}"],
            ["activation map (relative)", f"{parity.activation_map:.2e}", f"{parity.map_tolerance:g}"],
        ],
    )


def _crops(data: Path, size: int, count: int) -> np.ndarray:
    """Evaluation crops of a prepared data set, evenly chosen: float32 [N, 3, size, size]."""
    from fpg.common.crops import face_input
    from fpg.data.crop_files import read_crop
    from fpg.data.manifest import read_manifest

    manifest = read_manifest(data)
    if not manifest.faces:
        raise InputError(data, "holds no faces to compare on")
    chosen = np.unique(np.linspace(0, len(manifest.faces) - 1, count).astype(int))
    crops = []
    for row in (manifest.faces[i] for i in chosen):
        try:
            crops.append(face_input(read_crop(manifest.root, row), row.box, size))
        except ValueError as error:
            raise InputError(manifest.root / row.path, str(error)) from error
    return np.stack(crops)


if __name__ == "__main__":
    raise SystemExit(main())
