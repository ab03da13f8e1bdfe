"""Early stopping, which weights are kept, and that both survive interruptions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted_runs import killed_at_checkpoint
from safetensors.torch import load_file

from fpg.common.errors import UsageError
from fpg.models.detector import load_detector
from fpg.train import loop, state
from fpg.train.config import TrainConfig
from fpg.train.keep import few_people, patience_exhausted, ranked
from fpg.train.loop import train
from fpg.train.validate import Validation

Tiny = Callable[..., TrainConfig]


def pretend(monkeypatch: pytest.MonkeyPatch, aucs: list[float]) -> None:
    """Validation answers with these, by epoch."""
    loss = 0.5

    def validate(model: Any, batches: Any, device: Any, config: Any, world: Any) -> Validation:
        epoch = int(RUNS[-1].position.epoch)
        return Validation(aucs[epoch], loss, 4, [])

    made = loop.Run.__init__

    def remember(self: Any, *args: Any) -> None:
        made(self, *args)
        RUNS.append(self)

    RUNS.clear()
    monkeypatch.setattr(loop.Run, "__init__", remember)
    monkeypatch.setattr(loop, "validate", validate)


RUNS: list[Any] = []


def epochs_run(config: TrainConfig) -> list[int]:
    lines = [json.loads(line) for line in (Path(config.out) / "log.jsonl").read_text().splitlines()]
    return [line["epoch"] for line in lines if line["kind"] == "epoch"]


def top(config: TrainConfig) -> set[str]:
    return {path.name for path in (Path(config.out) / "checkpoints/top").iterdir()}


def both(*epochs: int) -> set[str]:
    return {f"epoch_{epoch:03d}{suffix}" for epoch in epochs for suffix in (".safetensors", ".spec.json")}


def test_weights_of_few_people_warn() -> None:
    assert few_people({"data": {"train_videos": 200}}) == ()
    (warning,) = few_people({"data": {"train_videos": 12}})
    assert warning.startswith("demo weights are no detector: trained on 12 videos or pictures")


def test_rank_is_by_auc_then_loss_then_age() -> None:
    def best(epoch: int, auc: float, loss: float) -> dict[str, float]:
        return {"auc": auc, "loss": loss, "epoch": epoch, "step": epoch}

    kept: list[dict[str, float]] = []
    for new in (best(0, 0.5, 1), best(1, 0.9, 1), best(2, 0.9, 0.5), best(3, 0.9, 0.5), best(4, 0.7, 0.1)):
        kept = ranked(kept, new, 3)
    assert [b["epoch"] for b in kept] == [2, 3, 1]
    assert ranked(kept, best(3, 0.9, 0.5), 3) == kept  # an epoch that is done again counts once
    assert ranked(kept, best(5, 1, 0), 0) == []


def test_patience_counts_epochs_since_the_best() -> None:
    best = {"auc": 0.9, "loss": 1.0, "epoch": 2.0, "step": 5.0}
    assert [patience_exhausted(best, done, 2) for done in (3, 4, 5, 6)] == [False, False, True, True]
    assert not patience_exhausted(best, 99, 0)
    assert not patience_exhausted(None, 99, 1)


def test_last_or_best_weights_become_the_model(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [0.6, 0.9, 0.7])
    config = tiny(epochs=3, keep_top=3)
    path = train(config)
    folder = Path(config.out) / "checkpoints/top"
    provenance = load_detector(path)[1].provenance
    assert (provenance["weights"], provenance["validation"]["auc"], provenance["best_validation"]["auc"]) == ("last epoch, 3", 0.7, 0.9)
    assert path.read_bytes() == (folder / "epoch_002.safetensors").read_bytes()
    train(dataclasses.replace(config, keep="best"), resume=True)  # may be asked for later
    assert load_detector(path)[1].provenance["weights"] == "best validation AUC, epoch 2"
    assert path.read_bytes() == (folder / "epoch_001.safetensors").read_bytes()
    assert load_detector(folder / "epoch_001.safetensors")[1].provenance["validation"]["auc"] == 0.9


def test_early_stopping_ends_the_run_and_a_resume_does_not_go_on(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [0.6, 0.9, 0.7, 0.8, 0.95, 0.9])
    config = tiny(epochs=6, patience=2, keep="best")
    path = train(config)
    assert epochs_run(config) == [0, 1, 2, 3]
    assert load_detector(path)[1].provenance["weights"] == "best validation AUC, epoch 2"
    train(config, resume=True)
    assert epochs_run(config) == [0, 1, 2, 3]
    train(dataclasses.replace(config, patience=0), resume=True)
    assert epochs_run(config) == [0, 1, 2, 3, 4, 5]
    assert load_detector(path)[1].provenance["weights"] == "best validation AUC, epoch 5"


def test_top_is_pruned_and_its_list_survives_a_resume(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [0.6, 0.9, 0.7, 0.8])
    config = tiny(epochs=4, keep_top=2)
    # as SIGKILL would: weights of epoch 2 are written, the checkpoint that lists them is not
    with killed_at_checkpoint(3, written=False), pytest.raises(KeyboardInterrupt):
        train(config)
    listed = state.read(Path(config.out) / "checkpoints/last.pt")["position"]["kept"]
    assert [best["epoch"] for best in listed] == [1, 0]
    assert both(1, 0) <= top(config)  # all that the last checkpoint lists

    train(config, resume=True)
    assert top(config) == both(1, 3)
    listed = state.read(Path(config.out) / "checkpoints/last.pt")["position"]["kept"]
    assert [(best["epoch"], best["auc"]) for best in listed] == [(1, 0.9), (3, 0.8)]


def test_averaged_weights_are_what_is_kept(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [0.6])
    config = tiny(epochs=1, keep_top=1, ema=0.9)
    train(config)
    averaged = state.read(Path(config.out) / "checkpoints/last.pt")["ema"]["model"]
    kept = load_file(Path(config.out) / "checkpoints/top/epoch_000.safetensors")
    assert all(torch.equal(value, averaged[name]) for name, value in kept.items())


@pytest.mark.parametrize("field", ["patience", "keep_top"])
def test_what_needs_validation_is_refused_without(tiny: Tiny, prepare: Callable[..., Path], field: str) -> None:
    data = prepare(splits={"train": 4})
    with pytest.raises(UsageError, match=f"{field}: expected 0 without real faces in split val"):
        train(tiny(data=[str(data)], **{field: 1}))
    assert not (Path(tiny().out) / "config.yaml").exists()


def test_a_checkpoint_from_before_an_option_is_resumed_with_its_default(tiny: Tiny) -> None:
    config = tiny(epochs=1)
    path = train(config)
    checkpoint = Path(config.out) / "checkpoints/last.pt"
    value = state.read(checkpoint)
    del value["config"]["freeze"], value["config"]["optim"]["schedule"], value["position"]["kept"]
    torch.save(value, checkpoint)
    before = path.read_bytes()
    assert train(config, resume=True).read_bytes() == before
    with pytest.raises(UsageError, match=r"freeze_stages: 0 -> 1; optim.schedule: 'linear' -> 'cosine'"):
        train(dataclasses.replace(config, freeze_stages=1, optim=dataclasses.replace(config.optim, schedule="cosine")), resume=True)
