"""What fpg-train answers before it needs a network: without torch, in little memory, in words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from fpg.cli.train import main
from fpg.cli.train_options import in_words
from fpg.guidance.config import GuidanceConfig
from fpg.pairs import Pairs
from fpg.train import step as step_module
from fpg.train.config import TrainConfig
from fpg.train.distributed import World
from fpg.train.loop import train
from fpg.train.pairs import Batch
from fpg.train.setup import build_learner

Tiny = Callable[..., TrainConfig]
MOST_KIB = 200 * 1024
PROGRAM = """
import sys
from fpg.cli.train import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
assert "torch" not in sys.modules, "torch was imported"
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("\\n", code or 0, peak)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--help"], 0, "Data and method:"),
        (["--lr", "3"], 2, "did you mean --optim.lr?"),
        (["--method", "xception"], 2, "method: expected fpg, sbi"),
        (["--optim.lr", "fast"], 2, "optim.lr: expected a number, got fast"),
        (["--optim.fused", "maybe"], 2, "optim.fused: expected true, false or auto, got maybe"),
        (["--batch", "7"], 2, "batch: expected an even number"),
        (["--model.pretrained", "nowhere.pth"], 1, "nowhere.pth: no such file (--model.pretrained:"),
        (["--quality", "nowhere.pth"], 1, "nowhere.pth: no such file (--quality:"),
        (["--data", "nowhere"], 1, "nowhere: has no manifest.parquet"),
    ],
)
def test_answers_come_without_torch_and_in_little_memory(
    arguments: list[str], code: int, named: str, prepared: Path, tmp_path: Path
) -> None:
    base = ["--data", str(prepared), "--out", str(tmp_path / "r")]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *base, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ended, peak = map(int, done.stdout.split()[-2:])
    assert ended == code
    assert named in (done.stdout if code == 0 else done.stderr)
    assert code == 0 or done.stderr.count("\n") == 1
    assert peak < MOST_KIB
    assert not (tmp_path / "r").exists()


def test_the_help_names_no_python_type(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for word in ("type: int", "type: float", "type: str", "Literal", "Union", "tuple[", "| None"):
        assert word not in text
    assert "a whole number" in " ".join(text.split())


def test_types_in_words() -> None:
    assert in_words(bool | str) == "true, false or text"
    assert in_words(tuple[float, float]) == "2 numbers"
    assert in_words(list[str]) == "a list of texts"
    assert in_words(tuple[int, ...]) == "a list of whole numbers"


def test_tensorboard_has_what_the_log_has_and_the_config(tiny: Tiny) -> None:
    config = tiny(pictures=2)
    train(config)
    out = Path(config.out)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    for kind, prefix in (("step", "train"), ("epoch", "epoch")):
        chosen = [line for line in lines if line["kind"] == kind]
        for name in set(chosen[0]) - {"kind", "step", "epoch"}:
            shown = {e.step: e.value for e in events.Scalars(f"{prefix}/{name}")}
            assert shown == pytest.approx({line["step"]: float(line[name]) for line in chosen}, rel=1e-5), name
    assert b"test_efficientnet" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    assert len(events.Images("pairs")) == config.epochs


def test_an_epoch_that_hardly_refines_ends_with_a_warning(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    never = tiny(epochs=1, guidance=GuidanceConfig(threshold=0.0))
    train(never)
    assert "fewer than 1%" in capsys.readouterr().err
    train(tiny(epochs=1, out=never.out + "2"))
    assert "fewer than 1%" not in capsys.readouterr().err


def test_the_average_of_the_weights_follows_the_statistics_of_all_processes(tiny: Tiny) -> None:
    class Others(World):
        def average_statistics(self, model: nn.Module) -> None:
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.fill_(7.0)  # type: ignore[union-attr]

    config = tiny(ema=0.9)
    learner = build_learner(config, torch.device("cpu"), Others())
    real, source = torch.rand(2, 4, 3, 64, 64)
    mask = torch.zeros(4, 1, 64, 64)
    mask[:, :, 8:56, 8:56] = 0.5
    pairs = Pairs((real + source) / 2, real, source, mask)
    batch = Batch([0, 1, 2, 3], torch.zeros(4, 3), torch.full((4,), 90.0), [], pairs)
    step_module.train_step(learner, None, batch, config, 0, 0, None, Others())
    assert learner.ema is not None
    means = [x for name, x in learner.ema.model.state_dict().items() if name.endswith("running_mean") and "quality" not in name]
    weight = 1 - min(0.9, 2 / 11)
    assert all(torch.allclose(x, torch.full_like(x, 7.0 * weight)) for x in means)
