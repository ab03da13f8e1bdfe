"""fpg-export: trained weights to ONNX or OpenVINO, checked against torch before anything is left on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fpg.cli.entry import run
from fpg.common.console import console, table
from fpg.common.errors import InputError, UsageError
from fpg.common.spec import read_spec, sidecar

EXAMPLES = """examples:
  fpg-export runs/a/model.safetensors --to openvino -o engines
  fpg-export runs/a/model.safetensors --to onnx -o engines --precision fp16 --check prepared/ff
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
    parser.add_argument("checkpoint", metavar="CKPT", type=Path, help="STEM.safetensors with STEM.spec.json beside it")
    parser.add_argument("--to", required=True, metavar="TARGET", help="onnx or openvino (tensorrt and tensorrt-rtx come later)")
    parser.add_argument("-o", "--out", required=True, metavar="DIR", type=Path, help="folder of the result")
    parser.add_argument("--precision", default="fp32", metavar="P", help="fp32 (default) or fp16")
    parser.add_argument("--name", metavar="STEM", help="name of the result without suffix (default: STEM-TARGET-PRECISION)")
    parser.add_argument("--check", metavar="DATA", type=Path, help="prepared data set whose crops are compared on (default: random images)")
    parser.add_argument("--images", default=16, metavar="N", type=int, help="how many crops of --check, evenly chosen (default 16)")
    return parser


def _main(args: argparse.Namespace) -> int:
    from fpg.export.exporter import export_detector  # imports torch: not for --help

    if args.images < 1:
        raise UsageError(f"--images: expected at least 1, got {args.images}")
    images, source = None, "random images"
    if args.check is not None:
        images = _crops(args.check, read_spec(args.checkpoint).image_size, args.images)
        source = f"crops of {args.check.name}"
    exported = export_detector(args.checkpoint, args.to, args.out, precision=args.precision, name=args.name, images=images, source=source)
    parity = exported.parity
    table(
        f"{exported.path.name} against torch, {parity.images} {parity.source}",
        ["output", "largest difference", "allowed"],
        [
            ["probability of fake", f"{parity.probability:.2e}", f"{parity.tolerance:g}"],
            ["activation map (relative)", f"{parity.activation_map:.2e}", f"{parity.map_tolerance:g}"],
        ],
    )
    console.print(f"{exported.path} and {sidecar(exported.path).name}")
    return 0


def _crops(data: Path, size: int, count: int) -> np.ndarray:
    """Evaluation crops of a prepared data set, evenly chosen: float32 [N, 3, size, size]."""
    from fpg.common.crops import face_input
    from fpg.data.images import read_image
    from fpg.data.manifest import read_manifest

    manifest = read_manifest(data)
    if not manifest.faces:
        raise InputError(data, "holds no faces to compare on")
    chosen = np.unique(np.linspace(0, len(manifest.faces) - 1, count).astype(int))
    crops = []
    for row in (manifest.faces[i] for i in chosen):
        try:
            crops.append(face_input(read_image(manifest.root / row.path), row.box, size))
        except ValueError as error:
            raise InputError(manifest.root / row.path, str(error)) from error
    return np.stack(crops)


if __name__ == "__main__":
    raise SystemExit(main())
