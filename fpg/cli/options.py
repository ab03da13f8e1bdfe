"""Options that several programs share."""

from __future__ import annotations

import argparse
import os

from fpg.common.errors import UsageError
from fpg.data.layouts.pictures import IMAGES

TIMEOUT_S = 3600.0
"""Hours of video are judged in less; what takes longer is stuck."""


class Default(int):
    """A number that nobody gave: told apart from the same one given."""


DEFAULT_FRAMES = Default(32)


def add_shared(p: argparse.ArgumentParser) -> None:
    """Options that fpg-detect and fpg-eval share."""
    p.add_argument(
        "--frames",
        type=frame_count,
        default=DEFAULT_FRAMES,
        metavar="N|all",
        help="frames per video, evenly spaced (default: 32); data prepared by fpg-prepare keeps its own",
    )
    p.add_argument("--batch", type=positive, default=16, metavar="N", help="faces per call of the network (default: 16)")
    add_timeout(p)
    p.add_argument("--device", default="auto", help="where the network runs: auto, cpu, cuda, ... (default: auto)")
    p.add_argument("--threads", type=thread_count, metavar="N", help="CPU threads of the network (default: all)")


def add_timeout(p: argparse.ArgumentParser) -> None:
    """`--timeout`."""
    p.add_argument(
        "--timeout",
        type=seconds,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="give up on an input after this time and continue with the others (default: %(default)g; 0: never)",
    )


def add_images(p: argparse.ArgumentParser) -> None:
    """`--images`."""
    p.add_argument(
        "--images",
        choices=IMAGES,
        default="auto",
        help="read a folder of pictures as frames of one video or as stills (default: auto, by names and sizes; the choice is reported)",
    )


def seconds(text: str) -> float:
    """argparse type: a number of seconds from 0 to a year."""
    value = float(text)
    if not 0 <= value <= 366 * 86400:
        raise argparse.ArgumentTypeError(f"expected a number of seconds from 0, got {text}")
    return value


def probability(text: str) -> float:
    """argparse type: a number in [0, 1]."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


def positive(text: str) -> int:
    """argparse type: a whole number from 1 to a million."""
    return _whole(text, 1, 1_000_000)


def thread_count(text: str) -> int:
    """argparse type: a whole number from 1 to 1024."""
    return _whole(text, 1, 1024)


def frame_count(text: str) -> int | None:
    """argparse type: an integer of at least 1, or `all` (None)."""
    return None if text == "all" else positive(text)


def face_pixels(text: str) -> int:
    """argparse type: the size of a face, a whole number of pixels from 1 to 10000."""
    value = int(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"expected a whole number of pixels from 1 to 10000, got {text}")
    return value


def check_outputs(*paths: str | None) -> None:
    """Refuse output names that are folders, before any work is done.

    Raises:
        UsageError: one of them is a folder, or two are the same file.
    """
    given = [os.path.abspath(p) for p in paths if p]
    for path in given:
        if os.path.isdir(path):
            raise UsageError(f"{path} is a folder: name the file to write")
    if len(set(given)) < len(given):
        raise UsageError("two outputs name the same file")


def rate(text: str) -> float:
    """argparse type: a false positive rate, at least 0 and below 1."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a fraction from 0 to below 1, got {text}")
    return value


def resamples(text: str) -> int:
    """argparse type: a number of resamples from 100 to a million."""
    return _whole(text, 100, 1_000_000)


def seed(text: str) -> int:
    """argparse type: a seed from 0 to 2^63 - 1."""
    return _whole(text, 0, 2**63 - 1)


def _whole(text: str, low: int, high: int) -> int:
    value = int(text)
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text}")
    return value
