"""What a file says of itself: container, streams, when it was made, by which program, on which device. Claims of the file, not facts.

The twin of `deploy/src/media.cpp`; the names of the tags stand in `media_tags.json`, which both read.
"""

from __future__ import annotations

import json
import mmap
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from fpg.common.errors import InputError
from fpg.data.containers import opened
from fpg.data.images import DAMAGE, IMAGE_FORMATS, IMAGE_SUFFIXES, check_file, heif_format, is_heif, open_image
from fpg.record.exif import exif_texts

TAGS: dict[str, list[str]] = json.loads(Path(__file__).with_name("media_tags.json").read_text(encoding="utf-8"))
"""What is asked -> names of tags that answer it, the first that is there counts."""
LONGEST = 200
"""Characters kept of what a file says."""
_KINDS = ("video", "audio", "subtitle")


def describe_media(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Container and streams of a file, and what it states about its making.

    Args:
        path: a picture or video.

    Returns:
        format, duration_s (None of pictures), created, encoder, device (each None where the file does not say), streams[{index, kind,
        codec, encoder}]; None where the file cannot be opened.
    """
    try:
        check_file(path)
        return _picture(path) if Path(path).suffix.lower() in IMAGE_SUFFIXES else _video(path)
    except (InputError, Image.DecompressionBombError, *DAMAGE):
        return None


def _video(path: str | os.PathLike[str]) -> dict[str, Any]:
    with opened(path) as (container, _):
        streams = [stream for stream in container.streams if stream.type in _KINDS]
        told = [dict(container.metadata), *(dict(stream.metadata) for stream in streams)]
        return {
            "format": container.format.name,
            "duration_s": round(container.duration / 1e6, 3) if container.duration else None,
            **_stated({question: _first(question, told) for question in TAGS}),
            "streams": [
                {
                    "index": stream.index,
                    "kind": stream.type,
                    "codec": stream.codec_context.codec.canonical_name if stream.codec_context is not None else None,
                    "encoder": _first("encoder", [dict(stream.metadata)]),
                }
                for stream in streams
            ],
        }


def _picture(path: str | os.PathLike[str]) -> dict[str, Any]:
    formats = heif_format(path) if is_heif(path) else IMAGE_FORMATS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken metadata: what cannot be read is not stated
        with open_image(path, formats) as image:
            name, block = str(image.format), image.info.get("exif", b"")
    if name == "TIFF":
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            texts = exif_texts(whole)
    else:
        texts = exif_texts(block)
    stated = {key: _kept(texts.get(key)) for key in TAGS}
    return {"format": "JPEG" if name == "MPO" else name, "duration_s": None, **_stated(stated), "streams": []}


def _stated(answers: Mapping[str, str | None]) -> dict[str, str | None]:
    make, model = answers["make"], answers["model"]
    if make and model and not model.lower().startswith(make.lower()):
        model = f"{make} {model}"
    return {"created": answers["created"], "encoder": answers["encoder"], "device": model or make}


def _first(question: str, told: list[dict[str, str]]) -> str | None:
    """The first answer: of the container before its streams, of the tags in their order."""
    return next((kept for tags in told for name in TAGS[question] if (kept := _kept(tags.get(name)))), None)


def _kept(text: str | None) -> str | None:
    """One line of text, not too long; None for nothing."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
    return words[:LONGEST] or None
