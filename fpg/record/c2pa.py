"""Content Credentials (C2PA): who signed a file, and what they say was done to it. A section of its own, no part of any score.

Read by `c2pa-python`, the extra `c2pa`, offline: no manifest, certificate status or list is fetched. Whom to trust is
for the reader to say, by certificates given; without them a signature is checked, and its signer is a name that anybody may claim.
"""

from __future__ import annotations

import functools
import json
import os
import re
import ssl
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fpg.common.constants import CONSTANTS
from fpg.common.errors import InputError, MissingDependencyError
from fpg.common.packages import install_extra

NOT_CHECKED, ABSENT, PRESENT, INVALID = "not_checked", "absent", "present", "invalid"
NOTE: str = CONSTANTS["record"]["credentials"]
"""Beside every section, whatever it says."""
_LONGEST = 200
_MOST_ACTIONS = 100


@dataclass(frozen=True)
class Credentials:
    """What a file's Content Credentials say."""

    state: str
    """`absent`; `present` (signed, and unchanged since); `invalid` (changed since, or the signature does not hold); `not_checked`."""
    trusted: bool | None = None
    """Whether the signer's certificate leads to one of those given; None where none were."""
    signer: str | None = None
    """Name and organisation in the signer's certificate."""
    signed: str | None = None
    """When, as the signature's time stamp has it; None without one."""
    generator: str | None = None
    """The program that wrote them."""
    actions: tuple[dict[str, str | None], ...] = ()
    """What they say was done, in order: action, when, software, source (IPTC's kind of origin, as `digitalCapture`)."""
    problems: tuple[str, ...] = ()
    """Codes of what does not hold (C2PA's), or why nothing was checked."""
    note: str = NOTE

    def to_json(self) -> dict[str, Any]:
        """Its part of a result."""
        return {**asdict(self), "actions": list(self.actions), "problems": list(self.problems)}


def read_credentials(path: str | os.PathLike[str], anchors: str | None = None) -> Credentials:
    """The Content Credentials in a file. Never raises.

    Args:
        path: a picture or video.
        anchors: certificates of authorities to trust, PEM.
    """
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError):
        return Credentials(NOT_CHECKED, problems=("c2pa-python is not installed",))
    try:
        with open(path, "rb") as file, c2pa.Reader.try_create(_kind(path), file, None, context=_context(anchors)) or _Nothing() as reader:
            if isinstance(reader, _Nothing):
                return Credentials(ABSENT)
            return _told(json.loads(reader.json()), reader.get_validation_state(), anchors is not None)
    except c2pa.C2paError as error:
        text = _line(str(error)) or "unreadable"
        if text.startswith(("NotSupported", "ManifestNotFound")):  # formats that cannot carry any
            return Credentials(ABSENT)
        if text.startswith("RemoteManifest"):
            return Credentials(NOT_CHECKED, problems=("they lie elsewhere, and nothing is fetched",))
        # A file that is no picture or video is that with or without credentials: only their own box is theirs to break.
        return Credentials(INVALID, problems=(text,)) if _holds_box(path) else Credentials(ABSENT)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        return Credentials(NOT_CHECKED, problems=(f"{type(error).__name__}: {_line(str(error))}",))


def read_anchors(path: str | os.PathLike[str]) -> str:
    """Certificates to trust, from a PEM file.

    Raises:
        InputError: it cannot be read, or holds no certificate.
        MissingDependencyError: c2pa-python is not installed.
    """
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingDependencyError(f"--c2pa-anchors needs c2pa-python: {install_extra('c2pa')} ({error})") from error
    try:
        text = Path(path).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise InputError(path, f"is not a readable PEM file: {getattr(error, 'strerror', None) or error}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        _context(text)
    except (ssl.SSLError, c2pa.C2paError, ValueError) as error:
        raise InputError(path, f"holds no certificate that can be used (PEM): {error}", "invalid") from error
    return text


class _Nothing:
    """In place of a reader, where there is nothing to read."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@functools.lru_cache(maxsize=4)
def _context(anchors: str | None) -> Any:
    import c2pa

    trust = anchors is not None
    settings: dict[str, Any] = {
        "core": {"allowed_network_hosts": []},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": trust, "verify_timestamp_trust": trust},
    }
    if trust:
        settings["trust"] = {"trust_anchors": anchors}
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _kind(path: str | os.PathLike[str]) -> str | None:
    """What the library takes for a hint; it looks at the bytes."""
    return Path(path).suffix.lstrip(".").lower() or None


def _holds_box(path: str | os.PathLike[str]) -> bool:
    """Whether a box of Content Credentials (JUMBF, labelled c2pa) is in a file."""
    with open(path, "rb") as file:
        before = b""
        while block := file.read(1 << 20):
            if re.search(rb"jumd(?s:.{1,40})c2pa\0", before[-64:] + block):
                return True
            before = block
    return False


def _told(store: dict[str, Any], state: str | None, asked: bool) -> Credentials:
    """Of the manifest store that the reader gives; `asked`: whether there were certificates to trust."""
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = active.get("signature_info") or {}
    names = [_line(signature.get(key)) for key in ("common_name", "issuer")]
    generators = active.get("claim_generator_info") or [{"name": active.get("claim_generator")}]
    problems = [_line(item.get("code")) for item in store.get("validation_status") or []]
    untrusted = "signingCredential.untrusted" in problems
    whole = state in ("Valid", "Trusted")
    return Credentials(
        PRESENT if whole else INVALID,
        (state == "Trusted" and not untrusted) if asked else None,
        ", ".join(name for name in names if name) or None,
        _line(signature.get("time")),
        _line(" ".join(str(generators[0].get(key) or "") for key in ("name", "version"))),
        tuple(_action(item) for item in _actions(active)[:_MOST_ACTIONS]),
        tuple(dict.fromkeys(problem for problem in problems if problem)),
    )


def _actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [a for a in manifest.get("assertions", []) if str(a.get("label", "")).startswith("c2pa.actions")]
    return [item for assertion in found for item in assertion.get("data", {}).get("actions", []) if isinstance(item, dict)]


def _action(item: dict[str, Any]) -> dict[str, str | None]:
    software = item.get("softwareAgent")
    if isinstance(software, dict):
        software = " ".join(str(software.get(key) or "") for key in ("name", "version"))
    source = item.get("digitalSourceType")
    return {
        "action": _line(item.get("action")),
        "when": _line(item.get("when")),
        "software": _line(software),
        "source": _line(str(source).rsplit("/", 1)[-1]) if source else None,
    }


def _line(text: object) -> str | None:
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text or "")).split())
    return words[:_LONGEST] or None
