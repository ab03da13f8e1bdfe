"""scripts/train_starter.sh as a whole, in miniature: photographs, training, clips, calibration; and the same command once more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fpg.common.files import sha256
from fpg.common.spec import read_spec
from fpg.data import sample

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_starter.sh"
SPLITS = {"henner": "train", "guido": "train", "giunchedi": "train", "maher": "val", "collins": "test", "hopper": "test"}
TINY = (
    "--epochs 1 --batch 4 --frames_per_video 2 --workers 0 --threads 1 --device cpu --keep_top 1 --tracker none --pictures 0 "
    "--model.backbone test_efficientnet --model.pretrained false --model.image_size 64 --model.quality_width 16 --model.attention_width 8"
)


@pytest.mark.slow
def test_from_photographs_to_a_calibrated_detector(tmp_path: Path) -> None:
    files = {p.name: sample.packaged_file(p) for p in sample.PEOPLE if p.name in SPLITS}
    rows = [f"{files[name]},real,{split}" for name, split in SPLITS.items()]
    (tmp_path / "faces.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    out = tmp_path / "starter"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", str(SCRIPT), str(tmp_path / "faces.csv"), str(out), *TINY.split()]

    def run() -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    said = run()
    assert f"The detector is {out}/run/model.safetensors" in said
    model = out / "run" / "model.safetensors"
    spec = read_spec(model)
    assert "calibration" in spec.provenance
    clips = sorted(path.relative_to(out / "clips").as_posix() for path in out.glob("clips/**/*.mp4"))
    assert len(clips) == 4
    assert {Path(name).parts[0] for name in clips} == {"real", "fake"}
    assert any("/reenact/" in name for name in clips)
    assert (out / "calibration").is_dir()
    before = {path: sha256(path) for path in [model, *out.glob("clips/**/*.mp4")]}
    run()  # all is there: trained and filmed no second time
    assert {path: sha256(path) for path in before} == before


def test_without_arguments_it_says_how() -> None:
    done = subprocess.run(["bash", str(SCRIPT)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "scripts/train_starter.sh PHOTOS OUT" in done.stdout
    assert "set -euo" not in done.stdout
