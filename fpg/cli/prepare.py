"""`fpg-prepare SOURCE OUT`: videos, frames or images to lossless face crops and one manifest."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from fpg.cli.entry import add_version, run
from fpg.cli.help import Help
from fpg.cli.options import add_images, add_timeout, face_pixels
from fpg.common.console import console, one_line, table
from fpg.common.errors import UsageError
from fpg.data.as_video import VideoConfig
from fpg.data.checks import compare_manifest
from fpg.data.layouts import describe_layouts
from fpg.data.layouts.base import Diagnostics
from fpg.data.manifest import FAKE, NAME, REAL, SPLITS, STATUSES, Manifest
from fpg.data.prepare import FAILURES, FRAMES, prepare
from fpg.data.sources import HASH
from fpg.data.statistics import Statistics, statistics
from fpg.faces.analyzer import LOOKS
from fpg.faces.sizes import MIN_FACE

_EXAMPLES = """
examples:
  fpg-prepare videos/ data/             videos/ holds real/ and fake/, with train/, val/, test/ above or below, or not at all
  fpg-prepare list.csv data/            columns path,label[,split,method]; paths relative to the list
  fpg-prepare clips/ data/ --label real everything is real; splits by hash: 80 % train, 10 % val, 10 % test
  fpg-prepare FaceForensics++/ data/    FF++ as it was downloaded, with its official split; likewise Celeb-DF, DFDC, ... (see below)
  fpg-prepare FF-DF.json data/          a DeepfakeBench list
  fpg-prepare FaceForensics++/ data/ --landmarks precomputed
                                        frames/, landmarks/ and retina/ as SBI and FPG prepared them
  fpg-prepare portraits/ data/ --label real --as-video 4
                                        photographs, made to look like frames of videos

layouts, recognised automatically or named with --layout:
LAYOUTS

A stopped run continues where it was when the same command is given again; inputs that failed are then tried again.
Exit code: 0 all inputs read, 1 some failed (listed, and in OUT/failures.csv), 2 wrong usage.
"""
_LISTED = 20


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    if options.layout == "list":
        print(describe_layouts())
        return 0
    if not options.source or not options.out:
        raise UsageError("SOURCE and OUT: expected names, got an empty one")
    manifest = prepare(
        options.source,
        options.out,
        frames=options.frames,
        workers=options.workers,
        dataset=options.dataset,
        label={"real": REAL, "fake": FAKE, None: None}[options.label],
        split=options.split,
        layout=options.layout,
        images=options.images,
        precomputed=options.landmarks == "precomputed",
        as_video=VideoConfig(clips=options.as_video) if options.as_video is not None else None,
        min_face=options.min_face,
        looks=options.looks,
        ray=options.ray,
        timeout=options.timeout or None,
        quiet=options.quiet,
    )
    report(manifest)
    findings = Diagnostics()
    compare_manifest(manifest, findings)
    for finding in findings.items[:_LISTED]:
        console.print(one_line(f"warning: {finding.path}: {finding.text}"), markup=False, emoji=False)
    return 1 if any(video.status == "failed" for video in manifest.videos) else 0


def report(manifest: Manifest) -> None:
    """Print what was prepared, what had no face, what failed with its reason, and statistics of the faces."""
    _print_counts(manifest)
    _print_statistics(statistics(manifest))
    failed = [video for video in manifest.videos if video.status == "failed"]
    if failed:
        rows = [[video.source, video.reason] for video in failed[:_LISTED]]
        more = f" (the first {_LISTED} of {len(failed)}; all in {FAILURES})" if len(failed) > _LISTED else ""
        table(f"Failed{more}", ["file", "reason"], rows)
    warned = [video for video in manifest.videos if video.status != "failed" and video.reason]
    for video in warned[:_LISTED]:
        console.print(one_line(f"note: {video.source}: {video.reason}"), markup=False, emoji=False)
    console.print(f"{len(manifest.faces)} face crops in {manifest.root / NAME}", markup=False, emoji=False)


def _print_counts(manifest: Manifest) -> None:
    counts = Counter((video.split, video.label, video.status) for video in manifest.videos)
    rows = []
    for split in SPLITS:
        for label, word in ((REAL, "real"), (FAKE, "fake")):
            row = [counts[split, label, status] for status in STATUSES]
            if any(row):
                rows.append([f"{split} {word}", *map(str, row)])
    rows.append(["all", *(str(sum(video.status == status for video in manifest.videos)) for status in STATUSES)])
    table("Inputs", ["", "prepared", "without a face", "failed"], rows)


def _print_statistics(s: Statistics) -> None:
    small, middle, large = s.face_size
    rows = [
        ["frames examined", str(s.frames)],
        ["with a face", str(s.frames_with_face)],
        ["with several large faces", str(s.frames_with_several)],
        ["face crops", str(s.crops)],
        ["tracks (one face through its video)", str(s.tracks)],
        ["videos with several tracks", str(s.videos_with_several)],
    ]
    if s.crops:
        rows.append(["size of a face in pixels: 5 %, median, 95 %", f"{small:.0f}, {middle:.0f}, {large:.0f}"])
    table("Faces", ["", "number"], rows)


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-prepare."""
    p = argparse.ArgumentParser(
        prog="fpg-prepare",
        description="Turn videos, folders of frames or images into lossless face crops and one manifest, for training and evaluation.",
        epilog=_EXAMPLES.replace("LAYOUTS", describe_layouts()),
        formatter_class=Help,
    )
    add_version(p)
    p.add_argument("source", metavar="SOURCE", nargs="?", help="folder, CSV or DeepfakeBench list, video or image")
    p.add_argument("out", metavar="OUT", nargs="?", help="folder of the prepared data set")
    p.add_argument("--frames", type=int, default=FRAMES, help="frames per video, evenly spaced (default: %(default)s)")
    p.add_argument(
        "--workers", type=int, default=None, help="processes (default: one per CPU, with --ray per CPU of the cluster; 0: in this process)"
    )
    p.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="work on this Ray cluster (HOST:PORT, auto, local); inputs and OUT on a file system its nodes share",
    )
    p.add_argument("--layout", metavar="NAME", help="layout of SOURCE on disk (default: recognised; list: print all layouts)")
    p.add_argument(
        "--landmarks",
        choices=("models", "precomputed"),
        default="models",
        help="find faces with fpg's models, or take frames and faces from the frames/, landmarks/ and retina/ next to the videos",
    )
    p.add_argument(
        "--as-video",
        metavar="CLIPS",
        type=int,
        help="make this many short clips of every picture (scaled like faces in videos, moving, encoded as H.264 or H.265) and take two "
        "frames of each clip instead of the picture; for training on portraits",
    )
    p.add_argument(
        "--min-face", type=face_pixels, default=MIN_FACE, metavar="PIXELS", help="smallest face that is cropped (default: %(default)s)"
    )
    p.add_argument(
        "--looks",
        choices=LOOKS,
        default=LOOKS[0],
        help="first: stop after the first look at a frame if that finds a face; faster, but smaller faces next to it may be missed",
    )
    p.add_argument("--dataset", help="name of the data set (default: the layout's, or the name of SOURCE)")
    p.add_argument("--label", choices=("real", "fake"), help="label for videos that SOURCE does not label")
    p.add_argument("--split", choices=(*SPLITS, HASH), help="split for everything, whatever SOURCE says; hash: 80/10/10 by id")
    add_images(p)
    add_timeout(p)
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


if __name__ == "__main__":
    sys.exit(main())
