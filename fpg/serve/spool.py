"""Files of jobs on disk: a folder per job, named by its id alone, within a quota. One server at a time uses a spool."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from fpg.common.errors import SetupError
from fpg.common.kinds import SUFFIXES
from fpg.serve.refusal import RequestRefused

_KNOWN = frozenset(suffix for kind in ("image", "video") for suffix in SUFFIXES[kind])
_MAX_NAME = 200


class JobSpool:
    """May be shared by threads.

    Args:
        folder: made if it is not there, readable by its owner alone.
        quota: bytes that all files together may take.

    Raises:
        SetupError: it cannot be made, or another server uses it.
    """

    def __init__(self, folder: Path, quota: int) -> None:
        self.folder, self.quota = folder, quota
        self._files = folder / "files"
        self._lock = threading.Lock()
        self._reserved: dict[str, int] = {}
        try:
            self._files.mkdir(parents=True, exist_ok=True)
            os.chmod(folder, 0o700)
            self._held: IO[str] = open(folder / "lock", "a+")  # noqa: SIM115 - held as long as the server runs
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SetupError(f"{folder}: another server uses this spool; name another --spool") from error
        except OSError as error:
            raise SetupError(f"{folder}: cannot be used as spool: {error.strerror or error}") from error
        self._used = 0
        self.measure()

    def close(self) -> None:
        """Let another server have it."""
        self._held.close()

    @property
    def used(self) -> int:
        """Bytes taken, those of running uploads included."""
        with self._lock:
            return self._used + sum(self._reserved.values())

    def measure(self) -> None:
        """Count anew what lies there."""
        used = 0
        for place, _, names in os.walk(self._files):
            for name in names:
                try:
                    used += os.lstat(os.path.join(place, name)).st_size
                except OSError:
                    continue
        with self._lock:
            self._used = used

    def make(self) -> str:
        """A new job's id, of 128 random bits, and its folder."""
        id = secrets.token_hex(16)
        self.path(id).mkdir()
        return id

    def path(self, id: str) -> Path:
        """The folder of a job; `id` is one that `make` gave."""
        return self._files / id

    def reserve(self, id: str, size: int) -> None:
        """Take so many bytes in all for a running upload.

        Raises:
            RequestRefused: the quota does not have them.
        """
        with self._lock:
            others = self._used + sum(taken for other, taken in self._reserved.items() if other != id)
            if others + size > self.quota:
                raise RequestRefused("spool_full", "the server has no room for this file until older jobs expire", retry_s=600)
            self._reserved[id] = size

    def settle(self, id: str) -> None:
        """The upload has ended, its file is there or gone."""
        with self._lock:
            self._used += self._reserved.pop(id, 0)

    def drop(self, id: str) -> None:
        """Remove a job's folder."""
        shutil.rmtree(self.path(id), ignore_errors=True)
        with self._lock:
            self._reserved.pop(id, None)
        self.measure()

    def drop_input(self, id: str, file: str | None) -> None:
        """Remove what was judged, and keep what was made of it."""
        if file is not None:
            (self.path(id) / file).unlink(missing_ok=True)
            self.measure()

    def sweep(self, known: Collection[str]) -> None:
        """Remove folders of no job: uploads that a killed server was receiving."""
        for entry in os.scandir(self._files):
            if entry.name not in known:
                shutil.rmtree(entry.path, ignore_errors=True)
        self.measure()


def input_file(name: str) -> str:
    """File name of an input in its job's folder: of the client's name only the suffix of a known kind is kept."""
    suffix = os.path.splitext(name)[1].lower()
    return f"input{suffix if suffix in _KNOWN else ''}"


def shown_name(name: str) -> str:
    """A client's file name as it is shown: the last part of a path, printable, of at most 200 characters."""
    last = PurePosixPath(PureWindowsPath(name).name).name
    plain = "".join(c if c.isprintable() else "\ufffd" for c in last.encode("utf-8", "replace").decode("utf-8"))
    return plain[:_MAX_NAME] or "unnamed"
