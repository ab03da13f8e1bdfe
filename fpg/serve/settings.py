"""How a server is set."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from fpg.serve.confine import Limits


def default_spool() -> Path:
    """`$XDG_STATE_HOME/fpg/spool`, where a user's programs keep what must survive them."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "fpg" / "spool"


@dataclass(frozen=True)
class Settings:
    """Of `fpg-serve`; every field is an option."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """0 takes a free one."""
    token: str | None = None
    """What requests have to bring; None lets everybody in who reaches the address."""
    spool: Path = field(default_factory=default_spool)
    """Folder of the list of jobs and their files."""
    quota: int = 10 * 2**30
    """Bytes that the files of all jobs may take."""
    keep_s: float = 86_400.0
    """Seconds for which a job that has ended can be asked for."""
    queue: int = 64
    """Jobs that may wait; more are answered 429."""
    upload_bytes: int = 2 * 2**30
    """Largest file of /v1/jobs."""
    judge_bytes: int = 64 * 2**20
    """Largest file of /v1/judge."""
    judge_s: float = 120.0
    """How long /v1/judge may take."""
    uploads: int = 64
    """Files that may be received at the same time."""
    upload_patience_s: float = 30.0
    """How long an upload may stand still."""
    urls: bool = False
    """Whether URLs are fetched."""
    workers: int = 1
    """Processes that judge."""
    slots: int = 1
    """Jobs at a time in each; their faces go to the network together."""
    timeout: float = 3600.0
    """Seconds after which a job is given up."""
    grace_s: float = 30.0
    """How long a server that is told to end waits for running jobs, which begin again at its next start."""
    limits: Limits = field(default_factory=Limits)
    """Of each worker process."""
