"""What was examined: the bytes of an input, and what they say of themselves."""

from __future__ import annotations

import datetime
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fpg.common.constants import message
from fpg.common.errors import InputError
from fpg.common.files import sha256
from fpg.data.sources import frame_files
from fpg.record.c2pa import Credentials, read_credentials
from fpg.record.media import describe_media


@dataclass(frozen=True)
class Exhibit:
    """The bytes of one input. All None where there are none to look at: no such file, a stream from the network, a camera."""

    sha256: str | None = None
    """Of the file; of a folder of frames that of the lines `SHA256  NAME` that `sha256sum` prints of its frames, in their order."""
    bytes: int | None = None
    modified: str | None = None
    """When the file system says the file was changed last: UTC, as `2026-11-29T01:42:31.250000Z`; None of a folder."""
    media: dict[str, Any] | None = None
    """See `fpg.record.media`."""
    c2pa: dict[str, Any] | None = None
    """See `fpg.record.c2pa`. No part of the score."""

    def to_json(self) -> dict[str, Any]:
        """Its part of a result."""
        return asdict(self)


def examine(path: str | os.PathLike[str], anchors: str | None = None, frames: Sequence[str | os.PathLike[str]] | None = None) -> Exhibit:
    """Take down what an input is. Never raises: what cannot be read is None.

    Args:
        path: a file, or a folder of frames.
        anchors: certificates to trust in Content Credentials, PEM.
        frames: of the folder, where they are known.
    """
    try:
        if os.path.isdir(path):
            return _folder(path, frames)
        size, modified = file_state(path)
        if modified is None:
            return Exhibit()
        digest = sha256(path)
    except (InputError, OSError, ValueError):
        return Exhibit()
    credentials = read_credentials(path, anchors) if size else Credentials("absent")
    return Exhibit(digest, size, modified, describe_media(path), credentials.to_json())


CHANGED = message("changed")


def file_state(path: str | os.PathLike[str]) -> tuple[int | None, str | None]:
    """Size and modification time of a file, by which a change is noticed; (None, None) where there is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None, None
    return (status.st_size, _utc(status.st_mtime_ns)) if stat.S_ISREG(status.st_mode) else (None, None)


def changed_since(path: str | os.PathLike[str], exhibit: Exhibit) -> bool:
    """Whether a file has changed since it was examined."""
    return exhibit.modified is not None and file_state(path) != (exhibit.bytes, exhibit.modified)


def _folder(path: str | os.PathLike[str], frames: Sequence[str | os.PathLike[str]] | None) -> Exhibit:
    names = [Path(name) for name in (frame_files(Path(path)) if frames is None else frames)]
    if not names:
        return Exhibit()
    lines = "".join(f"{sha256(name)}  {os.fsencode(name.name).decode('utf-8', 'replace')}\n" for name in names)
    return Exhibit(hashlib.sha256(lines.encode()).hexdigest(), sum(name.stat().st_size for name in names))


def _utc(nanoseconds: int) -> str:
    """A time of the file system in UTC, to the microsecond."""
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=nanoseconds // 1000)
    return moment.isoformat(timespec="microseconds") + "Z"
