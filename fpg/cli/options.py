"""Options that several programs share."""

from __future__ import annotations

import argparse

from fpg.data.layouts.pictures import IMAGES

TIMEOUT_S = 3600.0
"""Hours of video are judged in less; what takes longer is stuck."""


def add_timeout(p: argparse.ArgumentParser) -> None:
    """`--timeout`."""
    p.add_argument(
        "--timeout",
        type=seconds,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="give an input up after so long and go on with the others (default: %(default)g; 0: never)",
    )


def add_images(p: argparse.ArgumentParser) -> None:
    """`--images`."""
    p.add_argument(
        "--images",
        choices=IMAGES,
        default="auto",
        help="read a folder of pictures as the frames of one video, or as stills (default: auto, by names and sizes; it is said which)",
    )


def seconds(text: str) -> float:
    """argparse type: a number of seconds from 0 to a year."""
    value = float(text)
    if not 0 <= value <= 366 * 86400:
        raise argparse.ArgumentTypeError(f"expected a number of seconds from 0, got {text}")
    return value
