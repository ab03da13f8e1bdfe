"""The command line of fpg-detect: its options, what they mean together, and how they stand in the record."""

from __future__ import annotations

import argparse
import hashlib
import os
from typing import Any

from fpg.cli.entry import add_version
from fpg.cli.help import Help
from fpg.cli.inputs import is_camera
from fpg.cli.model_option import HELP
from fpg.cli.options import Default, add_shared, check_outputs, face_pixels, positive, probability, seconds
from fpg.common.errors import UsageError
from fpg.faces.sizes import MIN_FACE
from fpg.record.c2pa import read_anchors
from fpg.runtime.inputs import DECODERS, URL_EVERY, is_url
from fpg.runtime.show_frames import ShownFrames

EXAMPLES = """examples:
  fpg-detect clip.mp4
  fpg-detect clip.mp4 photo.jpg folder/ --json out.json --report out.html
  fpg-detect exhibit/ --json out.json --case 2026-17 --examiner "A. Person"
  fpg-detect long.mp4 --every 25 --threshold 0.7 --overlay seen.mp4
  fpg-detect folder/ --jobs 4 --jsonl out.jsonl   # killed? add --resume
  fpg-detect --watch arriving/ --jsonl out.jsonl  # new files, until Ctrl-C
  fpg-detect rtsp://camera/1 --urls --live 10     # fpg-detect 0: a camera
  fpg-detect --verify out.json                    # same scores again?

The output begins with the model in use. Then comes each input as it is done:
finding, score, threshold and path, and below them what limits the finding. A
model file before the inputs is taken as the model, too.

The exit code is 1 if an input could not be judged (damaged, no face, ...): it
is named on standard error and in the output files, with a code, and the
other inputs are still judged. It is 2 if nothing could be judged: wrong
usage, or a model that cannot be used."""
LIVE_S = 10.0
"""Seconds of a camera or stream that a result is about."""


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-detect."""
    p = argparse.ArgumentParser(
        prog="fpg-detect",
        description="Judge whether the faces in videos and images were forged. Folders are searched for videos and images, recursively.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    add_version(p)
    p.add_argument("inputs", metavar="INPUT", nargs="*", help="a video, an image, a folder, a URL (--urls), or the number of a camera")
    p.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help=f"{HELP}; given several times, all of them judge, and their scores are fused with the weights in their cards",
    )
    _add_outputs(p)
    _add_looking(p)
    p.add_argument(
        "--jobs", type=positive, default=Default(1), metavar="N", help="inputs judged at the same time (default: 1; with --ray one per CPU)"
    )
    p.add_argument("--stats", action="store_true", help="print on standard error at the end how long each stage took")
    p.add_argument(
        "--threshold", type=probability, metavar="P", help="probability from which the verdict is fake (default: the model's own)"
    )
    p.add_argument("--ray", metavar="ADDRESS", help="judge on this Ray cluster (HOST:PORT, auto, local); its nodes share model and inputs")
    add_shared(p)
    return p


def _add_outputs(p: argparse.ArgumentParser) -> None:
    p.add_argument("--json", metavar="FILE", help="write every score, and the record of the run, as JSON")
    p.add_argument("--jsonl", metavar="FILE", help="write a JSON line per input as soon as it is done, each with the record of the run")
    p.add_argument("--csv", metavar="FILE", help="write a line per judged face, and one per input that could not be judged")
    p.add_argument("--report", metavar="FILE", help="write a report: one self-contained HTML page")
    p.add_argument("--pdf", metavar="FILE", help="write the report as PDF, through an installed Chromium")
    p.add_argument("--case", metavar="NAME", help="the case that the report and the record belong to")
    p.add_argument("--examiner", metavar="NAME", help="who examined the inputs")
    p.add_argument(
        "--resume", action="store_true", help="continue the run that was writing --jsonl (or --json) when it ended; give the same options"
    )
    p.add_argument(
        "--verify",
        metavar="RECORD",
        help="judge the inputs of a --json or --jsonl file again, and say whether input, model and scores are the same",
    )
    p.add_argument(
        "--overlay",
        metavar="OUT",
        help="write the video with boxes, scores of tracks and heat maps drawn on it: a file for one input (.mp4, or .png for an image), "
        "otherwise a folder",
    )
    p.add_argument(
        "--show-frames", metavar="DIR", help="write the frames and crops that were judged as PNG, upright as judged, and an index.json"
    )


def _add_looking(p: argparse.ArgumentParser) -> None:
    p.add_argument("--every", type=positive, metavar="N", help="look at every N-th frame instead of a number of them")
    p.add_argument(
        "--decode",
        choices=list(DECODERS),
        default="whole",
        help="whole: all up to the last wanted frame, and damage before it is an error (default); needed: only what the wanted frames "
        "need, for long videos; cuda: the same on the GPU's decoder",
    )
    p.add_argument(
        "--min-face",
        type=face_pixels,
        default=MIN_FACE,
        metavar="PIXELS",
        help="smallest face that is looked for and judged: square root of the area of its box (default: %(default)s)",
    )
    p.add_argument("--face-engines", metavar="DIR", help="run the face networks on the engines in this folder (fpg-export --faces)")
    p.add_argument(
        "--urls",
        action="store_true",
        help="open inputs that are URLs (https, rtsp, ...): one frame in --every (default: 25), up to --frames of them",
    )
    p.add_argument(
        "--live",
        type=seconds,
        metavar="SECONDS",
        help="judge endless streams from URLs: a result per this many seconds, and a new connection when one is lost; cameras are judged "
        f"in the same way (default for them: {LIVE_S:g})",
    )
    p.add_argument("--watch", metavar="FOLDER", help="judge the files in a folder and those that arrive in it, until Ctrl-C")
    p.add_argument("--c2pa-anchors", metavar="PEM", help="certificates to trust in Content Credentials (needs c2pa-python)")


def check(arguments: argparse.Namespace) -> None:
    """What the command line has to be before anything is loaded.

    Raises:
        UsageError: options that contradict each other, or outputs that are folders.
    """
    check_outputs(arguments.json, arguments.jsonl, arguments.csv, arguments.report, arguments.pdf)
    if arguments.verify is None and not arguments.inputs and arguments.watch is None:
        raise UsageError("expected at least one INPUT")
    if arguments.resume and not (arguments.jsonl or arguments.json):
        raise UsageError("--resume: name the --jsonl or --json that the run was writing")
    for option, name in (("--resume", arguments.resume), ("--ray", arguments.ray)):
        if name and arguments.show_frames:
            raise UsageError(f"--show-frames: not with {option}, whose earlier frames or nodes have their own index")
    if arguments.ray and (arguments.watch is not None or is_live(arguments)):
        raise UsageError("--ray: judges only files; --watch, --live and cameras work only on this machine")
    if arguments.live is not None and not arguments.live > 0:
        raise UsageError("--live: expected more than 0 seconds")
    if is_live(arguments) and (arguments.overlay or arguments.show_frames or arguments.resume):
        raise UsageError("--overlay, --show-frames, --resume: not available for streams and cameras, which cannot be read again")
    if arguments.watch is not None and arguments.overlay and os.path.splitext(arguments.overlay)[1]:
        raise UsageError("--overlay: name a folder, as --watch may find several inputs")


def is_live(arguments: argparse.Namespace) -> bool:
    """Whether there are streams or cameras to judge without end."""
    return any(is_camera(name) or (arguments.live is not None and is_url(name)) for name in arguments.inputs)


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those of `fpg.runtime.options.Options`.

    Raises:
        UsageError: options that contradict each other.
        InputError: certificates that cannot be read.
    """
    urls = [is_url(name) or is_camera(name) for name in arguments.inputs]
    some_urls = any(urls)
    frames, every = arguments.frames, arguments.every
    if every is not None and some_urls and not all(urls):
        raise UsageError("--every: give files and URLs in separate calls (of a URL at most --frames are examined, of a file all)")
    if every is not None and not some_urls:
        if frames is not None and not isinstance(frames, Default):
            raise UsageError("--frames and --every: give one of them")
        frames = None
    return {
        "frames": frames,
        "every": every or (URL_EVERY if some_urls else 1),
        "batch": arguments.batch,
        "threshold": arguments.threshold,
        "highlights": 6 * bool(arguments.report or arguments.pdf),
        "maps": bool(arguments.overlay),
        "urls": arguments.urls,
        "decode": arguments.decode,
        "min_face": arguments.min_face,
        "shown": ShownFrames(arguments.show_frames) if arguments.show_frames else None,
        "timeout": arguments.timeout or None,
        "anchors": read_anchors(arguments.c2pa_anchors) if arguments.c2pa_anchors else None,
    }


def settings(arguments: argparse.Namespace, options: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, for the record.

    Args:
        arguments: of the command line.
        options: what `options_of` makes of them.
    """
    anchors = options["anchors"]
    return {
        "frames": int(options["frames"]) if options["frames"] is not None else "all",
        "every": options["every"],
        "decode": arguments.decode,
        "min_face": arguments.min_face,
        "batch": arguments.batch,
        "jobs": arguments.jobs,
        "threads": arguments.threads,
        "device": arguments.device,
        "threshold": arguments.threshold,
        "timeout": options["timeout"],
        "urls": arguments.urls,
        "face_engines": arguments.face_engines,
        "ray": arguments.ray is not None,
        "live": (arguments.live or LIVE_S) if is_live(arguments) else None,
        "c2pa_anchors": hashlib.sha256(anchors.encode()).hexdigest() if anchors else None,
    }
