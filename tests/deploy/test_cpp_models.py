"""Models by name in C++ as in Python: what is found, what is refused and in which words, warnings next to scores."""

from __future__ import annotations

import csv
import ctypes
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from judging import save

import fpg.cli.detect as detect
from fpg.common.models import write_record
from fpg.data.encode import write_video
from fpg.data.images import read_image

pytestmark = pytest.mark.slow


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    skimage = pytest.importorskip("skimage")
    portrait = np.ascontiguousarray(read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")[0:320, 60:360])
    write_video(tmp_path / "clip.mp4", [portrait[2 * i : 2 * i + 300, i : i + 280] for i in range(4)], fps=10)
    return tmp_path / "clip.mp4"


def run(program: Path, face_models: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [program, *arguments, "--face-models", face_models]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=False)


def test_the_same_models_judge_alike(
    program: Path, face_models: str, models: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(models / "mine", models / "starter")
    file = models / "mine" / "mine-openvino.xml"
    for arguments in (
        [],
        ["--model", "mine"],
        ["--model", models / "mine"],
        ["--model", file],
        [file],
        ["--model", "mine", "--threshold", "0.25"],
    ):
        outputs = [(tmp_path / f"{who}.json", tmp_path / f"{who}.csv") for who in ("python", "cpp")]
        python, ours = ([*map(str, arguments), str(clip), "--json", str(a), "--csv", str(b)] for a, b in outputs)
        assert detect.main(python) == 0
        printed = capsys.readouterr().out
        done = run(program, face_models, *ours)
        assert (done.returncode, done.stdout) == (0, printed), done.stderr
        values = [json.loads(a.read_text()) for a, _ in outputs]
        assert values[0]["model"] == values[1]["model"]
        assert values[0]["warnings"] == values[1]["warnings"] != []
        for ours_, theirs in zip(values[1]["results"], values[0]["results"], strict=True):
            assert ours_["warnings"] == theirs["warnings"] == values[0]["warnings"]
            assert ours_["score"] == pytest.approx(theirs["score"], abs=1e-5)
        head = ["input", "frame", "time_s", "x0", "y0", "x1", "y1", "score", "track", "error", "error_code", "warnings", "finding"]
        rows = [list(csv.reader(b.open(newline=""))) for _, b in outputs]
        assert [row[0] for row in rows] == [head] * 2
        assert rows[0][-1][-2:] == rows[1][-1][-2:]
        assert all(rows[0][-1][-2:])  # warnings and finding


def test_what_is_refused_in_the_same_words(
    program: Path, face_models: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = save(tmp_path / "a.png", np.zeros((40, 40, 3), np.uint8))

    def refuse(name: str, *said: str) -> None:
        assert detect.main(["--model", name, str(picture)]) == 2
        python = capsys.readouterr()
        done = run(program, face_models, "--model", name, picture)
        assert (done.returncode, done.stdout, python.out) == (2, "", "")
        assert done.stderr == python.err
        assert len(done.stderr.splitlines()) == 1
        assert all(text in done.stderr for text in said)

    shutil.copytree(models / "mine", models / "mint")
    refuse("mime", "no model of that name (nearest: mine, mint, starter)")
    refuse("no/such", "no/such: no such file or folder")
    refuse("absent.xml", "absent.xml: no such file")
    (tmp_path / "void").mkdir()
    refuse(str(tmp_path / "void"), "found 0")
    sidecar = models / "mine" / "mine-openvino.spec.json"
    sidecar.write_text(sidecar.read_text().replace('"threshold": 0.5', '"threshold": 0.9'))
    refuse("mine", "mine-openvino.spec.json: is not what the model's record SHA256SUMS holds")
    refuse(str(models / "mine" / "mine-openvino.xml"), "is not what the model's record SHA256SUMS holds")
    write_record(models / "mine")
    (models / "mine" / "README.md").write_text("---\nlicense:\n---\n")
    refuse("mine", "README.md: the model card states no licence")
    (models / "mine" / "README.md").unlink()
    refuse("mine", "a packaged model needs a model card")
    binary = next((models / "mint").glob("*.bin"))
    binary.write_bytes(binary.read_bytes()[:-1] + b"x")
    refuse("mint", "does not match its sidecar")
    done = run(program, face_models, "--model", "hf:lab/a", picture)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "this program fetches nothing" in done.stderr


def test_the_starter_from_c(built: Path, models: Path, face_models: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(models / "mine", models / "starter")
    library = ctypes.CDLL(str(built / "deploy" / "libfpg_runtime.so"))
    library.fpg_detector_create.restype = library.fpg_detector_judge.restype = ctypes.c_void_p
    library.fpg_detector_judge.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.fpg_detector_destroy.argtypes = library.fpg_string_free.argtypes = [ctypes.c_void_p]
    detector = library.fpg_detector_create(None, json.dumps({"face_models": face_models}).encode(), None)
    assert detector
    library.fpg_detector_destroy(detector)


def test_packaged_models_are_installed(built: Path, tmp_path: Path, face_models: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FPG_MODELS", raising=False)
    subprocess.run(["cmake", "--install", str(built), "--prefix", str(tmp_path / "there")], check=True, capture_output=True)
    assert (tmp_path / "there/share/fpg/models/starter/SHA256SUMS").is_file()
    picture = save(tmp_path / "a.png", np.zeros((40, 40, 3), np.uint8))
    done = run(tmp_path / "there/bin/fpg-detect-cpp", face_models, picture)
    assert done.stdout.startswith("judged by starter ("), done.stderr
