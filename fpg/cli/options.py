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


def rate(text: str) -> float:
    """argparse type: a false positive rate, at least 0 and below 1."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to below 1, got {text}")
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
