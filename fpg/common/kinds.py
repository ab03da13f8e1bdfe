"""What a file is by its name and by its first bytes: `file_kinds.json`, the one table of Python and of the C++ runtime.

A suffix joins by a word in that file; a format that becomes readable moves from `unread image` to `image`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

_TABLE = json.loads(Path(__file__).with_name("file_kinds.json").read_text(encoding="utf-8"))
SUFFIXES: dict[str, frozenset[str]] = {kind: frozenset(names) for kind, names in _TABLE["suffixes"].items()}
"""`image` and `video` are read; `unread image`, `unread video`, `audio`, `document` and `archive` are known and not read."""
_SIGNATURES = [(entry["at"], bytes.fromhex(entry["hex"]), entry["is"]) for entry in _TABLE["signatures"]]
_MEDIA = ("a picture", "a video")
"""How the table names those."""
_HEAD = max(at + len(magic) for at, magic, _ in _SIGNATURES)


def kind_by_name(path: str | os.PathLike[str]) -> str:
    """The kind of a file by its suffix, `""` for one that no table names."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    return next((kind for kind, suffixes in SUFFIXES.items() if suffix in suffixes), "")


def foreign_kind(path: str | os.PathLike[str]) -> str:
    """What a file that is neither picture nor video is by its first bytes (`a PDF document`), `""` where nothing is known.

    Raises:
        OSError: it cannot be read.
    """
    what = _by_first_bytes(path)
    return "" if what.startswith(_MEDIA) else what


def media_kind(path: str | os.PathLike[str]) -> str:
    """What a picture or video is by its first bytes (`a picture (JPEG)`, `a video (AVI)`), `""` where they do not tell.

    Raises:
        OSError: it cannot be read.
    """
    what = _by_first_bytes(path)
    return what if what.startswith(_MEDIA) else ""


def _by_first_bytes(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return next((what for at, magic, what in _SIGNATURES if head[at : at + len(magic)] == magic), "")
