"""The config: YAML, flags, unknown keys, the saved copy, the schedule of the learning rate."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fpg.cli.train import main, parse_command
from fpg.common.errors import UsageError
from fpg.train.config import OptimConfig, TrainConfig, differences
from fpg.train.schedule import learning_rate

CONFIGS = Path(__file__).parents[2] / "configs"


def test_defaults_are_the_published_recipe() -> None:
    config, resume = parse_command(["--data", "a", "--out", "r"])
    assert not resume
    assert (config.epochs, config.batch, config.frames_per_video) == (50, 32, 8)
    assert config.optim == OptimConfig(lr=1e-4, beta1=0.9, beta2=0.98, eps=1e-6, weight_decay=0.2, constant=0.75)
    assert (config.model.image_size, config.model.dropout, config.model.drop_connect) == (380, 0.4, 0.2)
    assert (config.guidance.threshold, config.guidance.eps, config.guidance.step_probability) == (0.2, 0.01, 0.5)
    assert (config.loss.similarity, config.loss.quality) == (0.075, 1.0)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_examples_can_be_used(path: Path) -> None:
    parse_command(["--config", str(path), "--data", "a", "--out", "r"])[0].check()


def test_flags_beat_the_file_and_switches_read_on_and_off(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("epochs: 3\ndata: [x, y]\nguidance: {shape: off, eps: 0.1}\naugment: {scale: [0.9, 1.1]}\n")
    config, _ = parse_command(
        ["--config", str(file), "--out", "r", "--epochs", "4", "--guidance.magnitude", "off", "--model.pretrained", "package"]
    )
    assert config.data == ["x", "y"]
    assert config.epochs == 4
    assert (config.guidance.shape, config.guidance.magnitude, config.guidance.eps) == (False, False, 0.1)
    assert config.augment.scale == (0.9, 1.1)
    assert config.model.pretrained == "package"
    assert (
        parse_command(["--out", "r", "--data", "a", "b", "--guidance.shape", "on", "--model.pretrained", "false"])[0].model.pretrained
        is False
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--guidance.shpe", "off"], "--guidance.shpe"),
        (["--epoch", "3"], "--epoch"),
        (["--epochs", "many"], "epochs"),
        (["--guidance.erosion", "none"], "guidance.erosion"),
        (["--precision", "fp8"], "precision"),
        (["--batch", "7"], "batch: expected an even number"),
        (["--threads", "100000000000000000000"], "threads: expected a number in 0..1024"),
        (["--out", ""], "out: expected a folder"),
        (["--out", "nowhere", "--resume"], "nowhere holds no run"),
        (["--guidance.threshold", "3"], "threshold"),
        (["--model.image_size", "8"], "image_size"),
    ],
)
def test_wrong_usage_is_named_and_ends_with_2(arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "a", "--out", str(tmp_path / "r"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("text", ["guidance: {shape: off, bad: 1}", "epoch: 3", "model: {back: b}", "[1, 2]", "a: ["])
def test_unknown_keys_in_a_file_are_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    assert main(["--config", str(file), "--data", "a", "--out", str(tmp_path / "r")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_data_is_required(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "r")]) == 2
    assert "--data" in capsys.readouterr().err


def test_help_explains_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_command(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert "Frames used per training video" in text
    assert "examples:\n  fpg-train --data prepared" in text
    for field in dataclasses.fields(TrainConfig):
        assert f"--{field.name}" in text


def test_saved_config_is_read_back(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = tiny()
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.as_dict(), sort_keys=False))
    assert parse_command(["--config", str(file)])[0] == config


def test_differences_name_fields_and_leave_out_what_is_free(tiny: Callable[..., TrainConfig]) -> None:
    config = tiny()
    other = dataclasses.replace(config, workers=5, out="elsewhere", seed=9, optim=OptimConfig(lr=0.5))
    assert differences(other.as_dict(), config.as_dict()) == ["optim.lr: 0.001 -> 0.5", "seed: 3 -> 9"]


def test_learning_rate_is_constant_then_falls_to_zero() -> None:
    rates = [learning_rate(OptimConfig(), epoch, 50) for epoch in range(51)]
    assert rates[:38] == [1e-4] * 38
    steps = [a - b for a, b in itertools.pairwise(rates[37:])]
    assert steps == pytest.approx([1e-4 / 13] * 13)
    assert rates[50] == 0
    assert learning_rate(OptimConfig(), 0, 1) == 1e-4


def test_fused_updates_are_chosen_by_word_or_switch() -> None:
    base = ["--data", "a", "--out", "r"]
    assert parse_command(base)[0].optim.fused == "auto"
    assert parse_command([*base, "--optim.fused", "false"])[0].optim.fused is False
    assert parse_command([*base, "--optim.fused", "auto"])[0].optim.fused == "auto"


@pytest.mark.parametrize(("field", "value"), [("ema", 1.0), ("ema", -0.1), ("accumulate", 0)])
def test_check_refuses_what_no_run_can_use(tiny: Callable[..., TrainConfig], field: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{field}: expected"):
        tiny(**{field: value}).check()


def test_check_names_the_field() -> None:
    with pytest.raises(UsageError, match="epochs: expected a number >= 1, got 0"):
        TrainConfig(out="r", data=["a"], epochs=0).check()
