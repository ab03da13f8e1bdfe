"""The command line of `fpg-train`: a flag for every field of `TrainConfig`, in groups, with types and errors in words."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import jsonargparse

import fpg
from fpg import __version__
from fpg.cli.help import Help
from fpg.common.errors import UsageError
from fpg.train.config import TrainConfig

CONFIGS = Path(fpg.__file__).parent / "configs"
SHIPPED = tuple(sorted(path.stem for path in CONFIGS.glob("*.yaml")))
"""Configurations that `--config` takes by name."""

_DESCRIPTION = """Train a detector from the real faces of folders prepared by fpg-prepare. Every face is paired with a forgery made
from itself, and forgery perception guidance (ACM MM 2024) refines the forgery while the detector learns.
Every field can be set in a YAML file and by a flag; later arguments override earlier ones."""

_EXAMPLES = """examples:
  fpg-train --data prepared --out run
      the defaults: EfficientNet-B4, 380 px, 50 epochs, 32 images per update
  fpg-train --config configs/paper.yaml --data prepared --out run
      the recipe of the released code: 128 images per update, in 4 passes on one GPU
  fpg-train --config configs/demo.yaml --data prepared --out run --epochs 4
  fpg-train --data faces_a faces_b --out run --model.image_size 224 --batch 16
  fpg-train --data prepared --out run --guidance.shape off
      an ablation
  fpg-train --data prepared --out run --dry-run
      memory, time and disk of the whole run, from one batch
  fpg-train --out run --resume
      continue exactly where it stopped
  fpg-train --data prepared --out run --batch 128 --nproc 4
      on 4 GPUs of this machine (or in 4 processes with --device cpu)
  torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d \\
    --rdzv-endpoint HOST:29500 -m fpg.cli.train --config c.yaml
      on two machines; --data and --out are folders that both can access
  fpg-train --config configs/paper.yaml --print_config
      every field and its value

A table in docs/method.md, "Deviations", lists where the defaults differ from the authors' released code.

exit codes: 0 done, 1 data or files cannot be used or the loss is not finite, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM
"""

GROUPS = {
    "Data and method": ("data", "out", "method", "fakes", "quality", "frames_per_video", "val_frames_per_video", "repeat", "seed"),
    "Length and batches": ("epochs", "batch", "accumulate", "patience", "ema", "freeze", "freeze_stages", "batch_statistics"),
    "Machine": (
        *("device", "precision", "channels_last", "compile", "grad_checkpointing", "cuda_graphs", "deterministic", "workers", "threads"),
        "nproc",
    ),
    "What is kept and shown": (*("keep", "keep_top", "checkpoint_steps", "log_steps", "tracker", "pictures", "picture_epochs", "profile"),),
}
"""Sections of the help, and the flags in them; a field that none names stands under the title of its class."""


class _Help(jsonargparse.DefaultHelpFormatter, Help):
    """Keeps the line breaks of the examples; types in words, and none where the choices are listed."""

    def _get_type_str(self, action: argparse.Action) -> str | None:
        hint = getattr(action, "_typehint", None) or action.type
        return None if hint is None or hint is bool or get_origin(hint) is Literal else in_words(hint)


def in_words(hint: Any) -> str:
    """A type as people say it: `a whole number`, `true, false or text`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _or(str(value) for value in inner)
    if origin in (Union, types.UnionType):
        return _or(in_words(part) for part in inner)
    if origin in (list, tuple):
        fixed = f"{len(inner)} " if origin is tuple and Ellipsis not in inner else "a list of "
        return fixed + {int: "whole numbers", float: "numbers"}.get(inner[0], "texts")
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}.get(hint, str(hint))


def _or(words: Iterable[str]) -> str:
    *first, last = [part for word in words for part in word.split(" or ")]
    return f"{', '.join(first)} or {last}" if first else last


def build_parser() -> jsonargparse.ArgumentParser:
    """The parser: a flag for every field of `TrainConfig`, their comments as help."""
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog="fpg-train",
        version=__version__,
        usage="fpg-train --data DIR [DIR ...] --out RUN [--config FILE] [--resume]\n                 [--nproc N] [--FIELD VALUE ...]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=_Help,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help=f"YAML file with any of the fields below, or one that ships: {_or(SHIPPED)}.")
    parser.add_argument(
        "--resume", action="store_true", help="Continue from RUN/checkpoints/last.pt; fields not given are those of RUN/config.yaml."
    )
    parser.add_argument(
        "--nproc",
        type=int,
        default=1,
        help="Processes to train in on this machine, one for each GPU; they divide every batch. See torchrun for more machines.",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="Run a few steps with the first batch, report how much memory, time and disk the whole run would need, and write nothing.",
    )
    parser.add_argument(
        "--profile",
        type=int,
        default=0,
        help="Steps to profile after the first two: writes RUN/profile/trace.json, and a table of what takes longest.",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        type=str,
        default=[],
        help="One or several folders prepared by fpg-prepare; only their real videos are used, unless `fakes` are `given`.",
    )
    parser.add_class_arguments(TrainConfig, skip={"data"})
    _arrange(parser)
    return parser


def _arrange(parser: jsonargparse.ArgumentParser) -> None:
    """Move the flags of `GROUPS` into sections of the help, which come before those of the nested fields."""
    known = {action.dest: (group, action) for group in parser._action_groups for action in group._group_actions}
    sections = []
    for title, names in GROUPS.items():
        section = argparse._ArgumentGroup(parser, title)
        for group, action in (known[name] for name in names if name in known):
            group._group_actions.remove(action)
            section._group_actions.append(action)
        sections.append(section)
    groups: list[Any] = parser._action_groups  # type: ignore[assignment]
    groups[2:2] = sections


def parse_options(argv: list[str] | None) -> tuple[TrainConfig, Any]:
    """The config that a command line asks for, and all values: of what is asked of this start alone, too.

    Raises:
        UsageError: unknown keys or flags, values of the wrong type.
    """
    parser = build_parser()
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--out")
    early.add_argument("--resume", action="store_true")
    known, _ = early.parse_known_args(argv)
    if known.resume and known.out:
        if not (written := Path(known.out) / "config.yaml").is_file():
            raise UsageError(f"--resume: {known.out} holds no run (no config.yaml)")
        parser.default_config_files = [str(written)]
    try:
        values = parser.instantiate(parser.parse_args(with_shipped(sys.argv[1:] if argv is None else argv)))
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise UsageError(explained(parser, " ".join(str(error).split()))) from error
    fields = {name: value for name, value in values.as_dict().items() if name in TrainConfig.__dataclass_fields__}
    if not 0 <= values.profile <= 10_000:
        raise UsageError(f"--profile: expected a number of steps in 0..10000, got {values.profile}")
    return TrainConfig(**fields), values


def with_shipped(argv: Sequence[str]) -> list[str]:
    """A command line whose `--config NAME` (or `configs/NAME.yaml`) is the file that ships with fpg, where there is none of that name."""

    def path(value: str) -> str:
        name = value.removeprefix("configs/").removesuffix(".yaml")
        return str(CONFIGS / f"{name}.yaml") if name in SHIPPED and not Path(value).is_file() else value

    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--config":
            word = path(word)
        elif word.startswith("--config="):
            word = "--config=" + path(word.removeprefix("--config="))
        words.append(word)
    return words


def explained(parser: jsonargparse.ArgumentParser, message: str) -> str:
    """What the parser complains of, in words: the types and choices that it wanted, the flags that were perhaps meant."""
    hints = {action.dest: getattr(action, "_typehint", None) or action.type for action in parser._actions}
    wrong = re.search(r'(?:Parser key|argument) "?-{0,2}([\w.]+)"?: .*?(?:Got|Given) value: (.*)$', message)
    if wrong and hints.get(wrong[1]) is not None:
        return f"{wrong[1]}: expected {in_words(hints[wrong[1]])}, got {wrong[2]}"
    unknown = re.search(r"(?:[Uu]nrecognized arguments: |Key ['\"]?|Unknown key )-{0,2}([\w.+-]+)", message)
    if unknown:
        meant = similar(unknown[1], [name for name in hints if name not in ("help", "print_config")])
        return message + (f"; did you mean {_or('--' + name for name in meant)}?" if meant else "; fpg-train --help lists them")
    return message


def similar(name: str, known: list[str]) -> list[str]:
    """Known names that somebody may have meant: first those that end in it (`lr`: `optim.lr`), else the closest ones."""
    words = name.replace("-", "_").split("=")[0]
    same = [other for other in known if other.rpartition(".")[2] == words.rpartition(".")[2]]
    return same or difflib.get_close_matches(words, known, n=3, cutoff=0.75)
