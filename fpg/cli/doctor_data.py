"""`fpg-doctor data DIR`: which data set is there, what it lacks, and what preparing it would cost."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rich.console import Console

from fpg.cli.help import Help
from fpg.cli.options import add_images
from fpg.common.console import one_line, output, table, takes_unicode
from fpg.common.errors import UsageError
from fpg.common.files import atomic_write
from fpg.data.doctor import DataReport, PreparationEstimate, VideoCount, as_json, examine_data
from fpg.data.layouts import describe_layouts
from fpg.data.manifest import SPLITS
from fpg.data.prepare import FRAMES
from fpg.data.probing import SAMPLE

_EPILOG = """examples:
  fpg-doctor data FaceForensics++/                    what is there, against the published numbers and the split files
  fpg-doctor data Celeb-DF-v2/ --deep --out list.json every video opened; every video and everything found in a file
  fpg-doctor data prepared/                           a folder that fpg-prepare wrote: are all its crops there?

layouts, recognised automatically or named with --layout:
LAYOUTS

Without --deep, a sample of the videos is opened: all packets counted, the first frame decoded. --deep does that with every video and
decodes one more frame, from its middle. Exit code: 0 all there and readable, 1 something is missing, unreadable or doubtful, 2 wrong usage.
"""
_FIRST = 3
_LABELS = {0: "real", 1: "fake", None: "unknown"}


def add_parser(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command `data`."""
    p = parsers.add_parser(
        "data",
        help="examine a data set",
        description=__doc__,
        epilog=_EPILOG.replace("LAYOUTS", describe_layouts()),
        formatter_class=Help,
    )
    p.add_argument("root", metavar="DIR", nargs="?", help="folder, CSV or DeepfakeBench list, or what fpg-prepare wrote")
    p.add_argument("--layout", metavar="NAME", help="layout of DIR on disk (default: recognised; list: print all layouts)")
    add_images(p)
    p.add_argument("--deep", action="store_true", help=f"open every video, not a sample of {SAMPLE}, and decode a frame of each")
    p.add_argument("--out", metavar="FILE", help="write everything found and the list of all videos, as JSON")
    p.add_argument("--workers", type=int, help="processes for --deep (default: one per CPU; 0: in this process)")
    p.add_argument(
        "--estimate", type=int, default=3, metavar="N", help="videos to prepare for the estimate (default: %(default)s; 0: none)"
    )
    p.add_argument("--frames", type=int, default=FRAMES, help="per video, for the estimate (default: %(default)s)")
    p.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    p.set_defaults(run=examine_data_set)


def examine_data_set(args: argparse.Namespace) -> int:
    """Examine a data set, print it, and say by the exit code whether it is whole."""
    if args.layout == "list":
        print(describe_layouts())
        return 0
    if not args.root:
        raise UsageError("DIR: expected a folder or a list")
    if args.estimate < 0 or args.frames < 1 or (args.workers is not None and args.workers < 0):
        raise UsageError("--estimate, --frames and --workers: expected at least 0, 1 and 0")
    report = examine_data(
        args.root,
        layout=args.layout,
        images=args.images,
        deep=args.deep,
        workers=args.workers,
        estimate=args.estimate,
        frames=args.frames,
    )
    if args.out:
        with atomic_write(args.out, "w") as file:
            file.write(as_json(report) + "\n")
    if args.json:
        print(as_json(report, listing=False, ascii_only=not takes_unicode(sys.stdout)))
    else:
        show_data_set(report, output(), args.out)
    return 0 if report.ok else 1


def show_data_set(report: DataReport, to: Console, listed: str | None = None) -> None:
    """Print the report as a table and lines; `listed` is the file that holds all of it."""
    title = f"{report.root}: {', '.join(report.layouts) or 'not readable'}, {report.videos} videos"
    prepared = report.layouts == ["fpg-prepare"]
    columns = ["data set", "videos", *SPLITS, "no split", "all", "failed" if prepared else "not on disk"]
    rows = _rows(report)
    shown = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    table(one_line(title), [columns[i] for i in shown], [[row[i] for i in shown] for row in rows], to=to, text=True)
    for line in _reasons(report.counts):
        _line(to, line)
    _show_findings(report, to, listed)
    for done in report.preparation:
        _line(to, f"prepared before: {done.path}: {done.text}")
    if report.estimate:
        _line(to, _cost(report.estimate))
    if not prepared:
        depth = "first and middle frame" if report.deep else "first frame; --deep opens all videos and decodes a middle frame, too"
        _line(to, f"{report.opened} of {report.videos} videos were opened: packets counted, and frames decoded ({depth}).")
    _line(to, "Nothing is missing." if report.ok else "Something is missing, unreadable or doubtful: see above.")


def _rows(report: DataReport) -> list[list[str]]:
    """A row per method and label; published numbers stand behind the slash."""
    keys = list(dict.fromkeys((c.dataset, c.compression, c.method, c.label) for c in report.counts))
    published = {(o.dataset, o.compression, o.method, o.label, o.split): o.official for o in report.official}
    rows = []
    for key in keys:
        counts = [c for c in report.counts if (c.dataset, c.compression, c.method, c.label) == key]
        alone = sum(k[:2] == key[:2] and k[3] == key[3] for k in keys) == 1

        def cell(split: str | None, counts: list[VideoCount] = counts, key: tuple[Any, ...] = key, alone: bool = alone) -> str:
            here = sum(c.videos for c in counts if split in (None, c.split))
            official = published.get((*key, split)) or (published.get((*key[:2], None, key[3], split)) if alone else None)
            return f"{here}/{official}" if official else str(here or "")

        missing = sum(c.missing for c in counts)
        name = f"{key[0]} {key[1]}".strip()
        rows.append(
            [
                name,
                " ".join(dict.fromkeys(filter(None, (_LABELS[key[3]], key[2])))),
                *map(cell, (*SPLITS, "none", None)),
                str(missing or ""),
            ]
        )
    return rows


def _reasons(counts: list[VideoCount]) -> list[str]:
    """Why the videos are in their splits."""
    videos: dict[tuple[str, str], dict[str, int]] = {}
    for count in counts:
        reasons = videos.setdefault((count.dataset, count.split), {})
        reasons[count.reason] = reasons.get(count.reason, 0) + count.videos
    lines = []
    for (dataset, split), reasons in videos.items():
        text = "; ".join(f"{number} ({reason or 'as the manifest says'})" for reason, number in list(reasons.items())[:_FIRST])
        more = f"; and {len(reasons) - _FIRST} more reasons" if len(reasons) > _FIRST else ""
        lines.append(f"{dataset}, {'left out' if split == 'none' else split}: {text}{more}")
    return lines


def _show_findings(report: DataReport, to: Console, listed: str | None) -> None:
    kinds: dict[tuple[str, str], list[str]] = {}
    for finding in report.findings:
        kinds.setdefault((finding.level, finding.code), []).append(f"{finding.path}: {finding.text}")
    for (level, code), lines in kinds.items():
        for line in lines[:_FIRST]:
            _line(to, f"{level}: {code}: {line}")
        if len(lines) > _FIRST:
            _line(to, f"    and {len(lines) - _FIRST} more ({f'all in {listed}' if listed else '--out FILE writes all'})")


def _cost(e: PreparationEstimate) -> str:
    return (
        f"fpg-prepare with {e.frames} frames per video: about {_size(e.bytes)} ({_size(e.free)} free) and "
        f"{_duration(e.seconds)} in one process, {_duration(e.seconds / e.cpus)} on {e.cpus} CPUs at best; "
        f"from {e.measured} of its videos, prepared to find out"
    )


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _line(to: Console, text: str) -> None:
    to.print(one_line(text), markup=False, emoji=False)
