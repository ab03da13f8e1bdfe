"""fpg: one program in front of all others. `fpg detect clip.mp4` is `fpg-detect clip.mp4`.

Every console script of fpg whose name begins with `fpg-` is a command; a new one needs no line here.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import inspect
import sys
from importlib.metadata import EntryPoint

from fpg import __version__
from fpg.cli.completion import SHELLS, script
from fpg.cli.entry import run
from fpg.cli.help import Help
from fpg.common.errors import UsageError

PREFIX = "fpg-"
EPILOG = """`fpg COMMAND --help` lists the options of a command. For completion in the shell:
  source <(fpg completion bash)            in ~/.bashrc
  source <(fpg completion zsh)             in ~/.zshrc, after compinit
  fpg completion fish | source             in ~/.config/fish/config.fish"""


def commands() -> dict[str, EntryPoint]:
    """Command (`detect`) -> console script, sorted by name."""
    found = importlib.metadata.entry_points(group="console_scripts")
    ours = {p.name: p for p in found if p.name.startswith(PREFIX) and p.value.startswith("fpg.")}
    return {name.removeprefix(PREFIX): ours[name] for name in sorted(ours)}


def summary(point: EntryPoint) -> str:
    """What a command does: the first line of its function's docstring."""
    return (inspect.getdoc(point.load()) or "").split("\n")[0]


def overview() -> str:
    """Every command in a line of its own."""
    known = commands()
    width = max(map(len, (*known, "completion")))
    lines = [f"  {name:<{width}}  {summary(point)}" for name, point in known.items()]
    return "\n".join(["commands:", *lines, f"  {'completion':<{width}}  Print a script that completes commands and options in a shell."])


def parser() -> argparse.ArgumentParser:
    """The command line of fpg itself."""
    p = argparse.ArgumentParser(
        prog="fpg",
        usage="fpg COMMAND [ARGUMENTS]",
        description="Train deepfake detectors from real faces only, and judge videos with them.\n\n" + overview(),
        epilog=EPILOG,
        formatter_class=Help,
    )
    p.add_argument("--version", action="version", version=f"fpg {__version__}")
    return p


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code of the command, 2 for an unknown one."""
    words = sys.argv[1:] if argv is None else argv
    if words and not words[0].startswith("-"):
        known = commands()
        if words[0] in known:
            sys.argv = [PREFIX + words[0], *words[1:]]
            return int(known[words[0]].load()() or 0)
    return run(lambda: _own(words))


def _own(words: list[str]) -> int:
    """What fpg does itself: completion, help, version."""
    if not words or words[0] == "help":
        words = ["--help"]
    if words[0] == "completion":
        if len(words) != 2 or words[1] not in SHELLS:
            raise UsageError(f"completion: expected one of {', '.join(SHELLS)}, got {' '.join(words[1:]) or 'nothing'}")
        print(script(words[1], commands()), end="")
        return 0
    if not words[0].startswith("-"):
        near = difflib.get_close_matches(words[0], commands(), 1)
        raise UsageError(f"there is no command {words[0]}{f'; did you mean {near[0]}?' if near else ''} (fpg --help lists them)")
    parser().parse_args(words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
