"""Completion of commands and options in bash, zsh and fish, made from the programs' own parsers."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from typing import NamedTuple

SHELLS = ("bash", "zsh", "fish")


class Option(NamedTuple):
    """An option, and what may follow it."""

    names: tuple[str, ...]
    """Empty: the choices are sub-commands."""
    choices: tuple[str, ...]
    """Empty: a file, or anything else."""
    takes_value: bool
    help: str
    """One line."""


def script(shell: str, commands: Mapping[str, EntryPoint]) -> str:
    """The completion script of a shell.

    Args:
        shell: of `SHELLS`.
        commands: name without `fpg-` -> console script.
    """
    options = {name: list(parser_options(parser_of(point))) for name, point in commands.items()}
    return _fish(options) if shell == "fish" else _bash(options, shell)


def parser_of(point: EntryPoint) -> argparse.ArgumentParser | None:
    """The parser of a console script, None where it cannot be had here (its packages are not installed)."""
    try:
        module = importlib.import_module(f"fpg.cli.{point.attr}")
    except ModuleNotFoundError:
        return None
    make = getattr(module, "parser", None) or getattr(module, "build_parser", None)
    return make() if make is not None else None


def parser_options(parser: argparse.ArgumentParser | None) -> Iterator[Option]:
    """The options of a parser and of its sub-commands; those that are hidden from its help are left out."""
    for action in parser._actions if parser is not None else ():
        if isinstance(action, argparse._SubParsersAction):
            yield Option((), tuple(action.choices), False, "")
            for below in action.choices.values():
                yield from parser_options(below)
        if action.option_strings and action.help != argparse.SUPPRESS:
            choices = tuple(str(choice) for choice in action.choices or ())
            text = re.sub(r"%\([a-z]+\)s", "", " ".join((action.help or "").split())).replace("%%", "%")
            yield Option(tuple(action.option_strings), choices, action.nargs != 0, text.split("; ")[0].split(" (")[0])


def _bash(options: Mapping[str, list[Option]], shell: str) -> str:
    """For zsh the same functions, through its emulation of bash's completion."""
    names = " ".join([*options, "completion"])
    lines = ["autoload -U +X bashcompinit && bashcompinit"] if shell == "zsh" else []
    lines += ["_fpg_options() {", '  case "$1" in']
    for command, known in options.items():
        lines.append(f"    {command}) echo {shlex.quote(' '.join(dict.fromkeys(name for option in known for name in option.names)))} ;;")
    lines += ["  esac", "}", "_fpg_choices() {", '  case "$1 $2" in']
    for command, known in options.items():
        for option in (option for option in known if option.choices):
            patterns = "|".join(f'"{command} {name}"' for name in option.names) or f'"{command} sub-commands"'
            lines.append(f"    {patterns}) echo {shlex.quote(' '.join(option.choices))} ;;")
    lines += [
        "  esac",
        "}",
        "_fpg_complete() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[0]##*/}" words',
        '  if [ "$command" = fpg ]; then',
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f'      COMPREPLY=( $(compgen -W {shlex.quote(names + " --help --version")} -- "$word") ); return',
        "    fi",
        '    command="${COMP_WORDS[1]}"',
        f'    if [ "$command" = completion ]; then COMPREPLY=( $(compgen -W "{" ".join(SHELLS)}" -- "$word") ); return; fi',
        "  fi",
        '  command="${command#fpg-}"',
        '  words="$(_fpg_choices "$command" "$before")"',
        '  case "${before##*/}" in "$command" | "fpg-$command") words="$(_fpg_choices "$command" sub-commands)" ;; esac',
        '  if [ -z "$words" ]; then case "$word" in -*) words="$(_fpg_options "$command")" ;; esac; fi',
        '  COMPREPLY=( $(compgen -W "$words" -- "$word") )',
        "}",
        f"complete -o default -F _fpg_complete fpg {' '.join(f'fpg-{name}' for name in options)}",
    ]
    return "\n".join(lines) + "\n"


def _fish(options: Mapping[str, list[Option]]) -> str:
    names = " ".join([*options, "completion"])
    lines = [f"complete -c fpg -n '__fish_is_first_token' -f -a '{names}'"]
    lines += [f"complete -c fpg -n '__fish_seen_subcommand_from completion' -f -a '{' '.join(SHELLS)}'"]
    for command, known in options.items():
        for option in known:
            if not option.names:
                lines.append(f"complete -c fpg-{command} -n '__fish_is_first_token' -f -a '{' '.join(option.choices)}'")
                continue
            what = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in option.names)
            what += f" -x -a {shlex.quote(' '.join(option.choices))}" if option.choices else " -r" if option.takes_value else ""
            what += f" -d {shlex.quote(option.help)}" if option.help else ""
            lines.append(f"complete -c fpg-{command}{what}")
            lines.append(f"complete -c fpg -n '__fish_seen_subcommand_from {command}'{what}")
    return "\n".join(lines) + "\n"
