"""Whole runs, tiny ones: what they leave behind, what stops them, and that nothing but the seed decides."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from fpg.cli.train import main
from fpg.common.errors import FpgError, InputError, UsageError
from fpg.data.manifest import FaceRow
from fpg.guidance.config import GuidanceConfig
from fpg.models.detector import Detector, DetectorOutput, load_detector
from fpg.train import loop, step
from fpg.train.config import TrainConfig
from fpg.train.loop import train
from fpg.train.validate import Validation

Tiny = Callable[..., TrainConfig]


def log_lines(out: str | Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_a_run_leaves_everything_that_is_promised(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(pictures=2)
    path = train(config)
    out = Path(config.out)
    assert path == out / "model.safetensors"
    model, spec = load_detector(path)
    assert model.config.backbone == "test_efficientnet"
    assert spec.image_size == 64
    assert spec.provenance["seed"] == 3
    assert spec.provenance["quality"]["name"] == "analytic"
    assert spec.provenance["weights"] == "last epoch, 2"
    assert spec.provenance["validation"]["auc"] == log_lines(out, "epoch")[-1]["val_auc"]
    assert spec.provenance["best_validation"]["auc"] == max(line["val_auc"] for line in log_lines(out, "epoch"))

    steps = log_lines(out, "step")
    assert [line["step"] for line in steps] == list(range(6))
    numbers = ("loss", "classification", "similarity", "quality", "images_per_s", "data_wait", "lr")
    assert all(np.isfinite([line[name] for name in numbers]).all() for line in steps)
    assert sum(line["refined"] for line in steps) > 0
    assert [line["epoch"] for line in log_lines(out, "epoch")] == [0, 1]
    assert log_lines(out, "epoch")[1]["pairs"] == 24
    assert log_lines(out, "epoch")[1]["lr"] == pytest.approx(1e-3)
    assert len(log_lines(out, "end")) == 1

    environment = json.loads((out / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__
    assert environment["seed"] == 3
    assert environment["data"]["train_faces"] == 12
    assert yaml.safe_load((out / "config.yaml").read_text()) == config.as_dict()
    assert list((out / "tensorboard").glob("events*"))
    for epoch in (0, 1):
        grid = cv2.imread(str(out / "pictures" / f"epoch_{epoch:03d}.png"))
        assert grid.shape[1] > 1000
        assert grid.std() > 20
    assert not list(out.rglob("*.part"))
    assert "val AUC" in capsys.readouterr().err


def test_the_seed_decides_and_the_workers_do_not(tiny: Tiny, tmp_path: Path) -> None:
    def weights(name: str, **changes: Any) -> dict[str, Tensor]:
        return load_file(train(tiny(out=str(tmp_path / name), epochs=1, **changes)))

    first = weights("a")
    for name, workers in (("b", 1), ("c", 2)):
        other = weights(name, workers=workers)
        assert all(torch.equal(first[key], other[key]) for key in first)
    assert any(not torch.equal(first[key], value) for key, value in weights("d", seed=4).items())


def test_guidance_off_is_another_run(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(epochs=1, guidance=GuidanceConfig(shape=False, magnitude=False), pictures=1)
    train(config)
    assert {line["refined"] for line in log_lines(config.out, "step")} == {0.0}


def test_bfloat16_trains(tiny: Tiny) -> None:
    config = tiny(epochs=1, precision="bf16")
    train(config)
    assert all(np.isfinite(line["loss"]) for line in log_lines(config.out, "step"))


def test_repeat_makes_longer_epochs(tiny: Tiny) -> None:
    config = tiny(epochs=1, repeat=2, batch=6)
    train(config)
    assert len(log_lines(config.out, "step")) == 8


def test_unreadable_faces_are_counted_and_left_out(tiny: Tiny, prepare: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    root = prepare()
    bad = root / "crops/train/2_1.png"
    bad.write_bytes(b"no image")
    config = tiny(data=[str(root)])
    train(config)
    assert [line["face"].startswith(str(bad)) for line in log_lines(config.out, "unreadable")] == [True, True]
    assert sorted(line["pairs"] for line in log_lines(config.out, "step")) == [3, 3, 4, 4, 4, 4]
    assert log_lines(config.out, "end")[0]["unreadable"] == 2
    printed = capsys.readouterr().err
    assert printed.count("left out: ") == 2
    assert "2 unreadable faces left out" in printed


def test_no_readable_face_at_all_stops_the_run(tiny: Tiny, prepare: Callable[..., Path]) -> None:
    root = prepare()
    for path in (root / "crops/train").iterdir():
        path.write_bytes(b"no image")
    config = tiny(data=[str(root)])
    with pytest.raises(FpgError, match="not one of its faces could be read"):
        train(config)
    assert len(log_lines(config.out, "unreadable")) == 12


def test_without_validation_people_the_last_weights_are_used(
    tiny: Tiny, prepare: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(data=[str(prepare(splits={"train": 4}))], epochs=1, pictures=1)
    _, spec = load_detector(train(config))
    assert spec.provenance["weights"] == "last epoch, 1; nothing was validated"
    assert "no real faces in split val" in capsys.readouterr().err
    assert (Path(config.out) / "pictures/epoch_000.png").exists()


def test_only_fakes_is_a_clear_error(tiny: Tiny, prepare: Callable[..., Path]) -> None:
    def change(rows: list[FaceRow]) -> list[FaceRow]:
        return [dataclasses.replace(row, label=1, method="swap") for row in rows]

    with pytest.raises(InputError, match=r"no real faces in split train \(12 fake ones"):
        train(tiny(data=[str(prepare(change=change))]))


def test_bad_data_folders(tiny: Tiny, tmp_path: Path, prepare: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="prepare it with fpg-prepare first"):
        train(tiny(data=[str(tmp_path / "empty")]))
    root = prepare()
    (root / "crops/val/0_0.png").unlink()
    assert main(["--data", str(root), "--out", str(tmp_path / "run2")]) == 1
    assert not (tmp_path / "run2").exists()


def test_a_loss_that_is_not_finite_stops_and_saves_the_batch(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name, description = "broken", "NaN from the third step on"
        calls = 0

        def __call__(self, images: Tensor, pose: Tensor | None = None, face_size: Tensor | None = None) -> Tensor:
            self.calls += 1
            return torch.full((len(images),), float("nan") if self.calls > 2 else 1.0)

    monkeypatch.setattr(loop, "quality_target", lambda quality, device: Broken())
    config = tiny(checkpoint_steps=1, workers=1)
    with pytest.raises(step.NonFiniteLoss, match=r"step 2 .*quality nan.*nonfinite_batch.safetensors"):
        train(config)
    assert not multiprocessing.active_children()
    saved = load_file(Path(config.out) / "nonfinite_batch.safetensors")
    assert saved["real"].shape == saved["fake"].shape == (4, 3, 64, 64)
    assert saved["quality_target"].isnan().all()
    assert saved["logits"].shape == (8, 2)
    last = torch.load(Path(config.out) / "checkpoints/last.pt", weights_only=True)
    assert last["position"]["step"] == 2
    assert all(x.isfinite().all() for x in last["model"].values() if x.is_floating_point())
    assert not (Path(config.out) / "model.safetensors").exists()


def test_a_full_disk_does_not_hide_why_the_loss_stopped(tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nan:
        name, description = "nan", "always NaN"

        def __call__(self, images: Tensor, pose: Tensor | None = None, face_size: Tensor | None = None) -> Tensor:
            return torch.full((len(images),), float("nan"))

    def full(path: Path) -> NoReturn:
        raise InputError(path, "cannot be written: No space left on device")

    monkeypatch.setattr(loop, "quality_target", lambda quality, device: Nan())
    monkeypatch.setattr(step, "atomic_write", full)
    with pytest.raises(step.NonFiniteLoss, match=r"loss is not finite .*could not be saved .*No space left"):
        train(tiny())


def test_validation_answers_that_are_not_finite_stop_the_run(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny()
    evaluate = Detector.forward

    def forward(self: Detector, x: Tensor) -> DetectorOutput:
        output = evaluate(self, x)
        return output if self.training else output._replace(logits=output.logits * float("nan"))

    monkeypatch.setattr(Detector, "forward", forward)
    with pytest.raises(FpgError, match=r"validation: the network's answer is not finite for \d+ of \d+ images"):
        train(config)
    assert not (Path(config.out) / "model.safetensors").exists()


def test_what_a_kill_left_half_written_does_not_block_a_run(tiny: Tiny) -> None:
    config = tiny()
    out = Path(config.out)
    (out / "checkpoints").mkdir(parents=True)
    (out / ".config.yaml.abc.part").write_text("half")
    with pytest.raises(UsageError, match="is not empty"):  # the folder checkpoints is somebody's
        train(config)
    assert (out / ".config.yaml.abc.part").exists()
    (out / "checkpoints").rmdir()
    assert train(config).exists()
    assert not list(out.rglob(".*.part"))


def test_no_selected_pair_means_no_update(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    refine = step.refine

    def emptied(*args: Any) -> Any:
        done = refine(*args)
        return done._replace(pairs=dataclasses.replace(done.pairs, mask=torch.zeros_like(done.pairs.mask)))

    monkeypatch.setattr(step, "refine", emptied)
    config = tiny(epochs=1)
    train(config)
    assert [line["updated"] for line in log_lines(config.out, "step")] == [False] * 3
    assert log_lines(config.out, "end")[0]["no_update"] == 3
    assert "3 steps without a pair" in capsys.readouterr().err
    value = torch.load(Path(config.out) / "checkpoints/last.pt", weights_only=True)
    assert value["optimizer"]["state"] == {}


def test_a_used_folder_is_refused(tiny: Tiny) -> None:
    config = tiny()
    Path(config.out).mkdir()
    (Path(config.out) / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty; continue with --resume"):
        train(config)
    with pytest.raises(UsageError, match="holds no run"):
        train(config, resume=True)


def test_a_gpu_that_is_not_there(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "cuda:3", "tpu", "mps"):
        with pytest.raises(UsageError, match="device: "):
            train(tiny(device=device))


def test_better_by_auc_then_by_loss() -> None:
    best = {"auc": 0.9, "loss": 0.4}
    assert Validation(0.91, 0.9, 2, []).better_than(best)
    assert Validation(0.9, 0.3, 2, []).better_than(best)
    assert not Validation(0.9, 0.4, 2, []).better_than(best)
    assert Validation(0.1, 9.0, 2, []).better_than(None)
