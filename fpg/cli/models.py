"""fpg-models: which models are here by name, what they are and how good; and how to make another."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fpg.cli.entry import add_version, run
from fpg.cli.help import Help
from fpg.common.console import console, one_line
from fpg.common.constants import message
from fpg.common.errors import InputError
from fpg.common.models import CARD, SUFFIXES, WEIGHTS, find_model, number_text, packaged, packaged_model, packaged_size, read_card
from fpg.common.spec import read_spec

EXAMPLES = """examples:
  fpg-models                     every model: size, licence, network, numbers, location
  fpg-models show starter        its model card
  fpg-models path starter        the file used for judging (--weights: the one to train on or export)
  fpg-models pack runs/a --facts facts.yaml --out models/mine     then FPG_MODELS=models fpg-detect --model mine clip.mp4

Models ship with fpg; the folder $FPG_MODELS may hold more, and comes first. The exit code is 1 if a model does not match its record."""
WIDTH = 80


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-models."""
    p = argparse.ArgumentParser(
        prog="fpg-models",
        description="List the packaged models, and show their cards.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    add_version(p)
    p.add_argument("--json", action="store_true", help="print the list as one JSON object on standard output")
    commands = p.add_subparsers(dest="command", metavar="show | path | pack")
    show = commands.add_parser("show", help="print a model card")
    show.add_argument("name", metavar="NAME")
    path = commands.add_parser("path", help="print where a model is stored")
    path.add_argument("name", metavar="NAME")
    path.add_argument("--weights", action="store_true", help="the .safetensors file instead of the one used for judging")
    pack = commands.add_parser("pack", help="make a packaged model from a run")
    pack.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or its weights")
    pack.add_argument("--facts", metavar="FILE", type=Path, required=True, help="YAML with what only you know: see docs/weights.md")
    pack.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder to write; its last part is the name of the model")
    pack.add_argument(
        "--check", metavar="DATA", type=Path, help="prepared data set whose crops are used to compare (default: random images)"
    )
    return p


def describe(name: str, folder: Path) -> dict[str, Any]:
    """What there is to know of a packaged model; `problem` is None, or why it cannot be used."""
    value: dict[str, Any] = {"name": name, "folder": str(folder), "bytes": packaged_size(folder), "problem": None}
    try:
        path = packaged_model(name)
        card, spec = read_card(folder), read_spec(path)
        spec.verify(path.parent)
        assert card is not None
    except InputError as error:
        return {**value, "problem": str(error)}
    return {
        **value,
        "model": path.name,
        "card": str(folder / CARD),
        "licence": card.licence,
        "network": f"{spec.detector.get('backbone')} at {spec.image_size} px",
        "summary": card.own.get("summary"),
        "threshold": spec.threshold,
        "stated_rate": spec.stated_rate,
        "numbers": card.own.get("numbers") or [],
        "warnings": list(spec.warnings),
    }


def lines(model: dict[str, Any]) -> Iterator[str]:
    """A model for people, at most 80 columns wide but for names of files."""
    size = f"{model['bytes'] / 1e6:.1f} MB"
    if model["problem"]:
        yield one_line(f"{model['name']}  {size}")
        yield from _wrapped(f"cannot be used: {model['problem']}")
        return
    yield one_line(f"{model['name']}  {size}  {model['licence']}  {model['network']}")
    if model["summary"]:
        yield from _wrapped(str(model["summary"]))
    yield from _wrapped(f"threshold {model['threshold']:.4g}, {model['stated_rate'] or message('no_stated_rate')}")
    for number in model["numbers"]:
        yield from _wrapped(number_text(number))
    for warning in model["warnings"]:
        yield from _wrapped(f"warning: {warning}")
    yield one_line(f"  {model['folder']}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        one_line(text), WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _list(as_json: bool) -> int:
    models = [describe(name, folder) for name, folder in packaged().items()]
    if as_json:
        print(json.dumps({"models": models}, indent=2, ensure_ascii=False))
    else:
        for model in models:
            print("\n".join(lines(model)))
        if not models:
            print("no models: none ships with this installation, and $FPG_MODELS names none")
    return 1 if any(model["problem"] for model in models) else 0


def _pack(args: argparse.Namespace) -> int:
    from fpg.cli.export import crops, evenly, read_prepared
    from fpg.export.package import package, read_facts  # imports torch: not for the others

    facts = read_facts(args.facts)
    images, source = None, "random images"
    if args.check is not None:
        manifest = read_prepared(args.check)
        spec = read_spec(find_model(args.run, WEIGHTS) if args.run.is_dir() else args.run)
        images, source = crops(manifest, evenly(range(len(manifest.faces)), 100), spec)[0], f"crops of {args.check.name}"
    for form, parity in package(args.run, facts, args.out, images=images, source=source).items():
        console.print(f"{form}: {parity}", markup=False)
    console.print(f"{args.out}: {packaged_size(args.out) / 1e6:.1f} MB; name its sources in NOTICE if you ship it", markup=False)
    return 0


def _main(args: argparse.Namespace) -> int:
    if args.command == "pack":
        return _pack(args)
    if args.command == "path":
        print(packaged_model(args.name, WEIGHTS if args.weights else SUFFIXES))
        return 0
    if args.command == "show":
        card = read_card(packaged_model(args.name).parent)
        print(card.text if card is not None else "", end="")
        return 0
    return _list(args.json)


def main(argv: list[str] | None = None) -> int:
    """Entry point; exit code 0 done, 1 a model cannot be used, 2 wrong usage."""
    return run(lambda: _main(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
