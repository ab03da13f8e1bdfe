"""The second environment, where the albumentations pipeline and its own OpenCV live, and the process that runs there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PLACE = FOLDER.parents[2] / "build" / "albumentations"
"""Made on first use, ignored by git; delete it to have it made again."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class RivalError(Exception):
    """The rival cannot be installed or has died; the message says what to do."""


def rival_python(place: Path = PLACE) -> Path:
    """The environment's interpreter; makes the environment if it is not there or its requirements have changed.

    Progress goes to stderr. Two processes at once wait for each other.

    Raises:
        RivalError: packages could not be had.
    """
    requirements = FOLDER / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + platform.python_version().encode()).hexdigest()
    python, ready = place / "bin" / "python", place / ".ready"
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / f".{place.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (ready.is_file() and ready.read_text() == wanted and python.exists()):
            print(f"setting up albumentations in {place} (once; needs a package index) ...", file=sys.stderr, flush=True)
            pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]
            for command in ([sys.executable, "-m", "venv", "--clear", str(place)], [str(python), *pip, "-r", str(requirements)]):
                done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    raise RivalError(_advice(place, command, done.stderr + done.stdout))
            ready.write_text(wanted)
    return python


def _advice(place: Path, command: list[str], output: str) -> str:
    tail = "\n".join(f"    {line}" for line in output.strip().splitlines()[-6:])
    return (
        f"the environment of the albumentations pipeline could not be made in {place}\n  {' '.join(command)}\n{tail}\n"
        f"  It needs a package index (or pip's cache) on its first run. Without one, `--rival none` compares with OpenCV alone."
    )


class Rival:
    """The albumentations pipeline in a process of its own, on one thread; `with Rival() as rival: ...`."""

    def __init__(self, place: Path = PLACE) -> None:
        self._process = subprocess.Popen(
            [str(rival_python(place)), str(FOLDER / "serve.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")} | ONE_THREAD,
        )

    def ask(self, **request: object) -> dict:
        """One request to `serve.py` and its answer.

        Raises:
            RivalError: the process died; its own message is on stderr.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RivalError(f"the albumentations pipeline ended with status {self._process.wait()}; see above")
        return json.loads(answer)

    def __enter__(self) -> Rival:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
