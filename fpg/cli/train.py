"""`fpg-train`: train a detector from the real faces of prepared folders, with forgery perception guidance.

What needs no network (`--help`, wrong usage, files that are not there) is answered before torch is imported, which takes seconds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fpg.cli.entry import run
from fpg.cli.train_options import build_parser, parse_options
from fpg.common.console import console
from fpg.common.errors import InputError, UsageError
from fpg.data.manifest import manifest_file
from fpg.train.config import TrainConfig
from fpg.train.methods import resolve_method

__all__ = ["build_parser", "main", "parse_command", "require_files"]


def parse_command(argv: list[str] | None = None) -> tuple[TrainConfig, bool]:
    """The config that a command line asks for, and whether it says --resume.

    Raises:
        UsageError: unknown keys or flags, values of the wrong type.
    """
    config, values = parse_options(argv)
    return config, values.resume


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""

    def body() -> int:
        config, now = parse_options(argv)
        processes = _processes(argv)
        resolve_method(config).check()
        require_files(config)
        if now.dry_run:
            return _dry_run(config, processes)
        from fpg.train.distributed import RemoteFailure, launched

        if processes > 1 and not launched():
            from fpg.train.launch import launch

            return launch("fpg.cli.train", sys.argv[1:] if argv is None else argv, processes)
        from fpg.train.loop import train

        try:
            train(config, resume=now.resume, profile=now.profile)
        except RemoteFailure as error:
            return error.code
        return 0

    return run(body)


def require_files(config: TrainConfig) -> None:
    """Refuse at once what a run would only miss after a while: manifests, first weights, the quality network's weights.

    Raises:
        InputError: a file or folder that the config names is not there.
    """
    for folder in config.data:
        manifest_file(folder)
    named = {"model.pretrained": config.model.pretrained, "quality": config.quality}
    for name, value in named.items():
        if isinstance(value, str) and value not in ("package", "analytic") and not Path(value).is_file():
            words = "true, false, package or a file" if name == "model.pretrained" else "analytic or a file"
            raise InputError(value, f"no such file (--{name}: {words})", "missing")


def _dry_run(config: TrainConfig, processes: int) -> int:
    from fpg.train.distributed import launched
    from fpg.train.dry_run import dry_run
    from fpg.train.trackers import require_tracker

    if launched():
        raise UsageError("--dry-run: expected to be started without a launcher (use --nproc N), got one of several processes")
    config = resolve_method(config)
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
    if "torch" in sys.modules:
        from fpg.train.distributed import end

        end(code)
    sys.exit(code)
