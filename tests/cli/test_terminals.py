"""Standard streams of any kind: another encoding, closed, and people who press Ctrl-C again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import makers
import pytest
from PIL import Image

DETECT = """
import sys
from judging import BrightnessEngine, GreenAnalyzer
from fpg.cli import detect
detect.load_engine = lambda *a, **k: BrightnessEngine()
detect.default_analyzer = GreenAnalyzer
sys.exit(detect.main(sys.argv[1:]))
"""
NAME = "clip \u00e9 \u5f71.png"


def python(code: str, *arguments: object, encoding: str = "utf-8", closed: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    if closed:
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
    return subprocess.run(command, env=environment, capture_output=True, encoding=encoding, timeout=120, check=False)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    from judging import face_image

    Image.fromarray(face_image(204)).save(tmp_path / NAME)
    return tmp_path / NAME


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_verdict_reaches_a_terminal_of_any_encoding(picture: Path, encoding: str) -> None:
    (picture.parent / "\u5f71.mp4").write_bytes(b"no video")
    done = python(DETECT, "m.xml", picture, picture.parent / "\u5f71.mp4", encoding=encoding)
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("not calibrated ")]
    assert line.endswith(NAME.encode(encoding, "backslashreplace").decode(encoding))
    assert "is not a readable video" in done.stderr


def test_json_on_a_terminal_of_another_encoding_is_json(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    makers.write_video(tmp_path / "real" / "\u00e9.mp4", 4)
    code = "import sys; from fpg.cli import doctor; sys.exit(doctor.main(sys.argv[1:]))"
    (tmp_path / "real" / "\u00e8.mp4").write_bytes(b"")
    done = python(code, "data", tmp_path, "--json", "--estimate", "0", encoding="ascii")
    assert any(finding["path"].endswith("\u00e8.mp4") for finding in json.loads(done.stdout)["findings"])


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_change_how_a_program_ends(picture: Path, closed: str) -> None:
    out = picture.parent / "out.json"
    done = python(DETECT, "m.xml", picture, "--json", out, closed=closed)
    assert (done.returncode, "Error" in done.stderr) == (0, False)
    assert json.loads(out.read_text(encoding="utf-8"))["results"][0]["verdict"] == "fake"


CLEANS = """
import sys, time
from fpg.cli.entry import run
def body():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(1.0)
        print("clean", flush=True)
sys.exit(run(body))
"""


def test_five_times_ctrl_c_is_one(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLEANS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(5):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "clean\n", "interrupted\n")
