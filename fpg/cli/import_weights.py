"""fpg-import: weights that others published, or that are on the Hugging Face Hub, as files that every program here reads."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpg.cli.entry import add_version, run
from fpg.cli.help import Help
from fpg.common.console import console, one_line
from fpg.common.errors import InputError, UsageError
from fpg.common.spec import CROPS

if TYPE_CHECKING:
    from fpg.models.checkpoints import CheckpointFormat
    from fpg.models.weights import KeyReport

HUB = "hf:"
KINDS = ("auto", "fiqa", "fpg", "sbi", "deepfakebench")
EXAMPLES = """examples:
  fpg-import FFc23.tar effnb4_best.pth --out weights/
  fpg-import sdd_fiqa.pth --out fiqa.safetensors      then: fpg-train --quality fiqa.safetensors ...
  fpg-import hf:owner/name                            then: fpg-detect name.safetensors clip.mp4
  fpg-import hf:yermandy/GenD_CLIP_L_14               (or a folder with its config.json, model.safetensors and README.md)

One line per result goes to standard output. What a network expects of an image, and keys that do not match, are reported on
standard error. The exit code is 1 if an input could not be imported: it is named, and the others are still imported."""


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-import."""
    p = argparse.ArgumentParser(
        prog="fpg-import",
        description="Turn published weights (FPG, SBI, DeepfakeBench's EfficientNet-B4, SDD-FIQA) and detectors from the Hugging Face Hub "
        "(fpg's, GenD's, timm classifiers with named labels) into .safetensors files, detectors with their .spec.json. No code in a "
        "file is run: a file that contains code is refused.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    add_version(p)
    p.add_argument(
        "inputs",
        metavar="FILE",
        nargs="+",
        help="a .tar, .pth, .pt or .safetensors file, a folder with config.json and model.safetensors, or hf:OWNER/NAME[@REVISION]",
    )
    p.add_argument("--out", metavar="DIR or FILE", type=Path, help="folder, or a .safetensors file for one input (default: next to it)")
    p.add_argument("--kind", choices=KINDS, default="auto", help="what the files are (default: recognised by the names of their tensors)")
    p.add_argument("--allow-missing", action="store_true", help="fill missing tensors with random numbers, and record that in the result")
    p.add_argument("--license", metavar="NAME", help="licence of the weights in a folder or repository whose card states none")
    p.add_argument("--crop", choices=list(CROPS), help="crop rule of a detector from a folder or repository (default: that of its kind)")
    p.add_argument("--verbose", action="store_true", help="name every key that was missing, extra, of another shape, not needed or used")
    return p


def main(argv: list[str] | None = None) -> int:
    """Entry point; exit code 0 all imported, 1 an input could not be, 2 wrong usage."""
    return run(lambda: _main(parser().parse_args(argv)))


def _main(args: argparse.Namespace) -> int:
    files = [name for name in args.inputs if not name.startswith(HUB) and not Path(name).is_dir()]
    if files and (args.license or args.crop):
        raise UsageError(f"--license, --crop: are for folders and hf: repositories, got {files[0]}")
    results = _results(args.inputs, args.out)
    failed = 0
    for name, out in results.items():
        try:
            what = _fetch(name, out, args) if name.startswith(HUB) else _import(name, out, args)
        except InputError as error:
            failed += 1
            lines = [f"error: {error}", *(f"  {line}" for line in getattr(error, "keys", []) if args.verbose)]
            print(*map(one_line, lines), sep="\n", file=sys.stderr, flush=True)
        else:
            print(one_line(f"{out}  {what}"), flush=True)
    return 1 if failed else 0


def _results(inputs: Sequence[str], out: Path | None) -> dict[str, Path]:
    """Input -> file to write, each input once.

    Raises:
        UsageError: an empty name, several inputs for one file.
    """
    names = dict.fromkeys(inputs)
    if "" in names:
        raise UsageError("FILE: expected a file, got an empty name")
    is_file = out is not None and out.suffix == ".safetensors" and not out.is_dir()
    if is_file and len(names) > 1:
        raise UsageError(f"--out: {out} is one file, for {len(names)} inputs; name a folder")
    if out is not None and not is_file and out.exists() and not out.is_dir():
        raise UsageError(f"--out: expected a folder or a .safetensors file, got {out}")
    results: dict[str, Path] = {}
    for name in names:
        results[name] = out if out is not None and is_file else _result(name, out)
        if clash := [other for other in results if other != name and results[other] == results[name]]:
            raise UsageError(f"{clash[0]} and {name} would both become {results[name]}: import them one by one, with --out FILE")
    return results


def _result(name: str, folder: Path | None) -> Path:
    if name.startswith(HUB):
        stem, here = name.partition("@")[0].rsplit("/", 1)[-1].removeprefix(HUB), Path()
    else:
        stem, here = Path(name).name if Path(name).is_dir() else Path(name).stem, Path(name).parent
    return (here if folder is None else folder) / f"{stem}.safetensors"


def _import(name: str, out: Path, args: argparse.Namespace) -> str:
    """Import one published file; what it is, in a few words."""
    from fpg.models.checkpoints import identify, load_tensors, save_imported  # import torch: not for --help
    from fpg.models.weights import read_state

    if Path(name).is_dir():
        return _import_folder(name, Path(name), out, {"folder": Path(name).resolve().name}, args)
    if out.exists() and out.resolve() == Path(name).resolve():
        raise InputError(name, "the result would overwrite it: name another file with --out")
    state = read_state(name)
    layout = identify(state, name, None if args.kind == "auto" else args.kind)
    model, report = load_tensors(layout, state, name, allow_missing=args.allow_missing)
    save_imported(out, model, layout, report, name)
    _tell(name, layout, report, args.verbose)
    return layout.title


def _tell(name: str, layout: CheckpointFormat, report: KeyReport, verbose: bool) -> None:
    lines = [f"{name}: {layout.title}; keys: {report}", f"  images: {layout.preprocessing}", "  classes: 0 real, 1 fake, as here"]
    if report.missing:
        lines.append(f"  {len(report.missing)} missing tensors have random numbers or, if they are counters, zero")
    if verbose:
        lines += [f"  {line}" for line in report.lines()]
    for line in lines[: None if layout.config else 2]:
        console.print(one_line(line), markup=False)


def _import_folder(name: str, folder: Path, out: Path, origin: dict[str, str], args: argparse.Namespace) -> str:
    """Import a detector of others from `config.json` and `model.safetensors`; what it is, in a few words."""
    from fpg.models.families import import_folder, save_family

    found = import_folder(folder)
    spec = save_family(out, found, folder, origin, license=args.license, crop=args.crop)
    lines = [
        f"{name}: {found.title}; keys: {found.report}",
        f"  license: {spec.provenance['imported']['license']}",
        f"  images: {found.preprocessing}",
        f"  faces: {CROPS[spec.crop]}",
        f"  activation map: {'yes' if spec.map_size else 'none, as the score is not a mean over positions'}",
        *(f"  {line}" for line in found.report.lines() if args.verbose),
    ]
    for line in lines:
        console.print(one_line(line), markup=False)
    return found.title


def _fetch(name: str, out: Path, args: argparse.Namespace) -> str:
    """A detector of the Hub under the name of `out`; what it is, in a few words."""
    from fpg.models.detector import KEPT, load_detector, save_detector
    from fpg.models.hub import fetch_published

    repository, _, revision = name.removeprefix(HUB).partition("@")
    console.print(one_line(f"{name}: asking the Hugging Face Hub"), markup=False)
    found = fetch_published(repository, revision=revision or None)
    if found.is_dir():
        return _import_folder(name, found, out, {"repository": repository, "revision": found.name}, args)
    model, spec = load_detector(found)
    source = {"hub": {"repository": repository, "revision": revision or "main"}}
    save_detector(out, model, provenance={**spec.provenance, **source}, **{name: getattr(spec, name) for name in KEPT})
    return f"{spec.provenance.get('method', 'a detector')} on {model.config.backbone}"


if __name__ == "__main__":
    sys.exit(main())
