"""`fpg-train`: train a detector from the real faces of prepared folders, with forgery perception guidance."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import jsonargparse

from fpg import __version__
from fpg.cli.entry import run
from fpg.common.console import console
from fpg.common.errors import UsageError
from fpg.train.config import TrainConfig
from fpg.train.distributed import Elsewhere, end, launched
from fpg.train.dry_run import dry_run
from fpg.train.launch import launch
from fpg.train.loop import train
from fpg.train.methods import resolve
from fpg.train.trackers import require_tracker

_DESCRIPTION = """Train a detector from the real faces of folders prepared by fpg-prepare. Every face is paired with a forgery made
from itself, and forgery perception guidance (ACM MM 2024) refines the forgery while the detector learns.
Every field can be set in a YAML file and by a flag; what comes later on the command line wins."""

_EXAMPLES = """examples:
  fpg-train --data prepared --out run                        the published recipe: EfficientNet-B4, 380 px, 50 epochs
  fpg-train --config configs/demo.yaml --data prepared --out run --epochs 4
  fpg-train --data faces_a faces_b --out run --model.backbone tf_efficientnet_lite0 --model.image_size 224 --batch 16
  fpg-train --data prepared --out ablation --guidance.shape off --guidance.magnitude off
  fpg-train --data prepared --out run --dry-run              memory, time and disk of the whole run, from one batch
  fpg-train --out run --resume                               go on exactly where it stopped
  fpg-train --data prepared --out run --batch 128 --nproc 4  on 4 GPUs of this machine (or in 4 processes with --device cpu)
  torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m fpg.cli.train --config c.yaml
                                                             on two machines; --data and --out are folders that both see
  fpg-train --config configs/paper.yaml --print_config       every field and its value

exit codes: 0 done, 1 data or files cannot be used or the loss is not finite, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM
"""


class _Help(jsonargparse.DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the examples."""


def build_parser() -> jsonargparse.ArgumentParser:
    """The parser: a flag for every field of `TrainConfig`, their comments as help."""
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog="fpg-train",
        version=__version__,
        usage="fpg-train --data DIR [DIR ...] --out RUN [--config FILE] [--resume] [--nproc N] [--FIELD VALUE ...]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=_Help,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with any of the fields below; see configs/.")
    parser.add_argument(
        "--resume", action="store_true", help="Go on from RUN/checkpoints/last.pt; fields not given are those of RUN/config.yaml."
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
        help="Take a few steps with the first batch, say what memory, time and disk the whole run would need, and write nothing.",
    )
    parser.add_argument(
        "--profile",
        type=int,
        default=0,
        help="Steps to profile after the first two: RUN/profile/trace.json, and a table of what takes longest.",
    )
    parser.add_argument(
        "--data", nargs="+", type=str, default=[], help="One or several folders prepared by fpg-prepare; only their real videos are used."
    )
    parser.add_class_arguments(TrainConfig, skip={"data"})
    return parser


def parse(argv: list[str] | None = None) -> tuple[TrainConfig, bool]:
    """The config that a command line asks for, and whether it says --resume.

    Raises:
        UsageError: unknown keys or flags, values of the wrong type.
    """
    config, values = _parse(argv)
    return config, values.resume


def _parse(argv: list[str] | None) -> tuple[TrainConfig, Any]:
    """The config, and all values: of what is asked of this start alone, too."""
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
        values = parser.instantiate(parser.parse_args(argv))
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise UsageError(" ".join(str(error).split())) from error
    fields = {name: value for name, value in values.as_dict().items() if name in TrainConfig.__dataclass_fields__}
    if not 0 <= values.profile <= 10_000:
        raise UsageError(f"--profile: expected a number of steps in 0..10000, got {values.profile}")
    return TrainConfig(**fields), values


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""

    def body() -> int:
        config, now = _parse(argv)
        if now.dry_run:
            return _dry_run(config, _processes(argv))
        if (processes := _processes(argv)) > 1 and not launched():
            config.check()
            return launch("fpg.cli.train", sys.argv[1:] if argv is None else argv, processes)
        try:
            train(config, resume=now.resume, profile=now.profile)
        except Elsewhere as error:
            return error.code
        return 0

    return run(body)


def _dry_run(config: TrainConfig, processes: int) -> int:
    if launched():
        raise UsageError("--dry-run: expected to be started without a launcher (say --nproc N), got one of several processes")
    config = resolve(config)
    config.check()
    require_tracker(config.tracker)
    for line in dry_run(config, processes).lines():
        console.print(line, markup=False, highlight=False)
    return 0


def _processes(argv: list[str] | None) -> int:
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--nproc", type=int, default=1)
    processes = int(early.parse_known_args(argv)[0].nproc)
    if not 1 <= processes <= 1024:
        raise UsageError(f"--nproc: expected a number in 1..1024, got {processes}")
    return processes


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as stop:  # SIGTERM
        code = int(stop.code or 0)
    end(code)
