"""Does memory stay where it is over many files? A program judges a folder of them, and its memory is looked at as its lines come.

    python benchmarks/long_run.py CLIP... [--files 10000] [--program fpg-detect] [--json FILE] [-- OPTIONS OF THE PROGRAM]

The folder holds that many hard links to the clips, in turn: give short ones. The program is run with `--jsonl` and `--json`, so that
results are written as they come and once more at the end. Memory is what the process holds (VmRSS), after the first hundred files and at
the last, and its highest in between and while the JSON is written.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fpg.common.console import console

POLL_S = 0.05
FIRST = 100
"""Files after which memory should grow no more."""
ALLOWED_MB = 30.0


def resident_mb(process: int) -> float | None:
    """Memory that a process holds; None when it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(command: list[str], clips: list[Path], files: int, folder: Path) -> dict[str, float]:
    """Judge so many links to the clips; memory in MB after the first `FIRST`, at the last, and the highest since.

    Args:
        command: program and options.
        clips: judged in turn.
        files: in all.
        folder: to work in, on the file system of the clips.

    Raises:
        RuntimeError: the program failed, or judged another number of files.
    """
    inputs, lines = folder / "in", folder / "out.jsonl"
    inputs.mkdir()
    for number in range(files):
        clip = clips[number % len(clips)]
        os.link(clip, inputs / f"{number:05d}{clip.suffix}")
    with open(folder / "said", "wb") as said:
        command = [*command, str(inputs), "--jsonl", str(lines), "--json", str(folder / "out.json")]
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    done, at, found = 0, 0, {"files": float(files)}
    while process.poll() is None:
        memory = resident_mb(process.pid)
        if lines.exists():
            with open(lines, "rb") as file:
                file.seek(at)
                block = file.read()
            done, at = done + block.count(b"\n"), at + len(block)
        if memory is not None and done >= FIRST:
            found.setdefault("first", memory)
            found["highest"] = max(found.get("highest", 0.0), memory)
            if "last" not in found and done == files:
                found["last"] = memory
        time.sleep(POLL_S)
    results = json.loads((folder / "out.json").read_text(encoding="utf-8"))["results"] if (folder / "out.json").exists() else []
    if process.returncode != 0 or len(results) != files or "last" not in found:
        tail = (folder / "said").read_text(errors="replace")[-500:]
        raise RuntimeError(f"{shlex.join(command)}: exit code {process.returncode}, {len(results)} results: {tail}")
    return found


def main(argv: list[str] | None = None) -> int:
    """Run and print; 1 where memory grew by more than `ALLOWED_MB`."""
    given = sys.argv[1:] if argv is None else argv
    options = given[given.index("--") + 1 :] if "--" in given else []
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("clips", type=Path, nargs="+")
    p.add_argument("--files", type=int, default=10_000, help="default: %(default)s")
    p.add_argument("--program", default="fpg-detect", help="and its first options (default: %(default)s)")
    p.add_argument("--json", type=Path, help="write the numbers")
    arguments = p.parse_args(given[: len(given) - len(options) - 1] if options else given)
    with tempfile.TemporaryDirectory(prefix="fpg-", dir=arguments.clips[0].parent) as folder:
        found = run([*shlex.split(arguments.program), *options], arguments.clips, arguments.files, Path(folder))
    text = ", ".join(
        f"{found[name]:.1f} MB {what}" for name, what in (("first", f"after {FIRST}"), ("last", "at the last"), ("highest", "at most"))
    )
    console.print(f"{arguments.files} files: {text}", markup=False)
    if arguments.json:
        arguments.json.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return int(max(found["last"], found["highest"]) - found["first"] > ALLOWED_MB)


if __name__ == "__main__":
    sys.exit(main())
