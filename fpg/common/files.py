"""Files that are either whole or absent: atomic writing, hashing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fpg.common.errors import InputError

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Text that begins with one of these (the last four are full-width forms) is a formula to a spreadsheet."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file next to `path` that takes its place on success and vanishes on any failure.

    A link is followed. What is no file (`/dev/stdout`, `/dev/null`, a pipe) is written to as it is, and never replaced.

    Args:
        path: the final name; missing parent folders are created.
        mode: `"wb"` or `"w"` (UTF-8).

    Raises:
        InputError: the file system refuses (full disk, no permission), naming `path`.
    """
    target = Path(path)
    temporary: str | None = None
    encoding = None if "b" in mode else "utf-8"
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            with open(target, mode, encoding=encoding) as stream:
                yield stream
            return
        target = Path(os.path.realpath(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        with os.fdopen(fd, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise InputError(path, f"cannot be written: {error.strerror or error}", "not_written") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def cell(text: str) -> str:
    """Text for a CSV that people open in a spreadsheet: what would be taken for a formula there begins with an apostrophe."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Remove what `atomic_write` left anywhere below `folder` when its process was killed; only one process may be writing there."""
    for path in Path(folder).rglob(".*.part"):
        path.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: write `None` for what is undefined."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path, "w") as file:
        file.write(text + "\n")


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    Raises:
        InputError: the file is missing or unreadable.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)
    except OSError as error:
        raise InputError.of(path, error) from error


def _sha256(file: IO[bytes]) -> str:  # Python 3.10
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
