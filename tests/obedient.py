"""A judge that does what a file's first line says. Light, as a worker process imports it anew for every server."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from fpg.record.run import ModelRecord, RunRecord, source
from fpg.serve.document import document
from fpg.serve.job import JudgeTask
from fpg.serve.worker import JobOutcome, Tell

RECORD = RunRecord((ModelRecord("obedient", None, {}, None),), {}, ("fpg-serve",), folder="", fpg=source("fpg-serve")).to_json()
DESCRIPTION: dict[str, Any] = {
    "record": RECORD,
    "model": {"file": "obedient", "warnings": []},
    "protocol": {"unit": "video"},
    "threshold": 0.5,
}


class Obedient:
    """A judge that obeys the input: `sleep SECONDS`, `die`, `die-once FILE`, `hang`, `allocate BYTES`, `spin SECONDS`, `connect HOST PORT`,
    `execute`, `write BYTES`, `raise TEXT`; several with semicolons. The answer says what came of each."""

    description = DESCRIPTION

    def __call__(self, task: JudgeTask, tell: Tell, cancelled: threading.Event) -> JobOutcome:
        said = []
        orders = Path(task.path).read_bytes().split(b"\n")[0].decode("latin-1").split(";")
        for number, order in enumerate(filter(str.strip, orders)):
            tell({"stage": "judging", "frames": number, "total": len(orders), "score": None})
            try:
                said.append(_obey(order, task, cancelled))
            except (OSError, MemoryError, subprocess.SubprocessError) as error:
                said.append(f"{type(error).__name__}: {error}")
        error = ("was cancelled", "cancelled") if cancelled.is_set() else (None, None)
        result = {
            "input": task.name,
            "score": None if error[0] else 0.25,
            "said": said,
            "path": task.path,
            "warnings": [],
            "error": error[0],
        }
        return JobOutcome(
            document(RECORD, self.description["model"], self.description["protocol"], [result]), *error, {"network": (1, 0.01)}
        )


def _obey(order: str, task: JudgeTask, cancelled: threading.Event) -> str:
    word, *rest = order.split()
    if word == "sleep":
        cancelled.wait(float(rest[0]))
    elif word == "hang":
        threading.Event().wait()
    elif word == "die":
        os._exit(3)
    elif word == "die-once":
        if not os.path.exists(rest[0]):
            Path(rest[0]).touch()
            os._exit(3)
    elif word == "allocate":
        return f"{len(bytearray(int(rest[0])))}"
    elif word == "spin":
        until = time.process_time() + float(rest[0])
        while time.process_time() < until:
            pass
    elif word == "connect":
        socket.create_connection((rest[0], int(rest[1])), timeout=5).close()
    elif word == "execute":
        subprocess.run(["true"], check=True)
    elif word == "write":
        (Path(task.folder) / "frames.json").write_bytes(bytes(int(rest[0])))
    elif word == "raise":
        raise ValueError(" ".join(rest))
    return "done"


def load() -> Obedient:
    """A `fpg.serve.worker.Setup`."""
    return Obedient()
