"""What a step changes, under every switch: accumulated passes, precision, average of the weights, compiled parts, exact arithmetic."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from noise_pairs import noise_batch
from safetensors.torch import load_file
from torch import Tensor, nn

from fpg.common.errors import UsageError
from fpg.guidance.quality import AnalyticQuality
from fpg.train import setup, state
from fpg.train import step as step_module
from fpg.train.config import ModelConfig, OptimConfig, TrainConfig
from fpg.train.distributed import ALONE
from fpg.train.ema import Ema
from fpg.train.learner import Learner
from fpg.train.loop import Run, train
from fpg.train.pairs import Batch
from fpg.train.setup import build_learner, compile_parts
from fpg.train.step import StepResult, train_step

Tiny = Callable[..., TrainConfig]
CPU = torch.device("cpu")
PLAIN = ModelConfig(backbone="test_convnext", image_size=64, pretrained=False, heads="plain", dropout=0.0, drop_connect=0.0)
"""Without batch statistics."""


@pytest.fixture(autouse=True)
def _global_switches() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before[1:]


def step(learner: Learner, config: TrainConfig, batch: Batch, number: int = 0) -> StepResult:
    return train_step(learner, AnalyticQuality(), batch, config, 0, number, Path("unused"))


def weights(learner: Learner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.model.state_dict().items()}


@pytest.mark.parametrize("accumulate", [2, 3, 9])
def test_accumulated_passes_are_the_larger_batch(tiny: Tiny, accumulate: int) -> None:
    """7 pairs in 1, 2, 3 and 9 passes, without batch statistics: gradients to 2e-4 of their largest element, losses to 1e-6."""
    batch = noise_batch(7, int(np.random.default_rng(20261123).integers(1 << 30)))
    batch.pairs.mask[3] = 0
    found = []
    for passes in (1, accumulate):
        config = tiny(batch=16, model=PLAIN, accumulate=passes)
        learner = build_learner(config, CPU, ALONE)
        result = step(learner, config, batch)
        found.append((result, {name: p.grad for name, p in learner.model.named_parameters()}))
    (one, gradients), (other, accumulated) = found
    assert one.losses == pytest.approx(other.losses, rel=1e-6)
    assert (one.pairs, one.selected, one.refined) == (other.pairs, other.selected, other.refined)
    assert one.selected < 7
    for name, value in gradients.items():
        assert float((accumulated[name] - value).abs().max()) <= 2e-4 * (float(value.abs().max()) + 1e-6), name  # type: ignore[operator, union-attr]


def test_running_statistics_follow_the_training_pass_alone(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(guidance=dataclasses.replace(tiny().guidance, step_probability=1.0))
    learner = build_learner(config, CPU, ALONE)
    reference = copy.deepcopy(learner.model)
    seen: list[Tensor] = []
    learner.model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    refine = step_module.refine

    def watched(model: Any, *args: Any) -> Any:
        before = {name: x.clone() for name, x in model.named_buffers()}
        done = refine(model, *args)
        assert all(torch.equal(x, before[name]) for name, x in model.named_buffers())
        return done

    monkeypatch.setattr(step_module, "refine", watched)
    result = step(learner, config, noise_batch(4, 5))
    assert result.refined > 0
    assert len(seen) == 1
    reference.train()
    step_module.seed_torch(config.seed, "step", 0, 0, 0)
    reference(seen[0])
    expected = dict(reference.named_buffers())
    assert any("running_mean" in name for name in expected)
    for name, value in learner.model.named_buffers():
        assert torch.allclose(value, expected[name], rtol=1e-5, atol=1e-7), name


def test_running_statistics_follow_a_step_without_a_selected_pair_and_weights_do_not(tiny: Tiny) -> None:
    config = tiny()
    learner = build_learner(config, CPU, ALONE)
    before = weights(learner)
    batch = noise_batch(4, 6)
    batch.pairs.mask.zero_()
    result = step(learner, config, batch)
    assert (result.updated, result.selected, result.losses) == (False, 0, {})
    assert all(torch.equal(p, before[name]) for name, p in learner.model.named_parameters())
    assert any(not torch.equal(x, before[name]) for name, x in learner.model.named_buffers() if "running_var" in name)
    assert not learner.optimizer.state_dict()["state"]


def test_float16_trains_and_its_scaler_is_resumed(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(precision="fp16", checkpoint_steps=1, model=PLAIN, epochs=1)
    whole = load_file(train(dataclasses.replace(config, out=str(tmp_path / "whole"))))
    stop_after(config, 2)
    saved = state.read(Path(config.out) / "checkpoints/last.pt")["scaler"]
    assert saved["scale"] == 65536.0
    assert saved["_growth_tracker"] == 2
    resumed = load_file(train(config, resume=True))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def stop_after(config: TrainConfig, steps: int) -> None:
    done = Run._step

    def stopping(self: Run, batch: dict[str, Any]) -> Any:
        if self.position.step == steps:
            raise KeyboardInterrupt
        return done(self, batch)

    Run._step = stopping  # type: ignore[method-assign]
    try:
        with pytest.raises(KeyboardInterrupt):
            train(config)
    finally:
        Run._step = done  # type: ignore[method-assign]


@pytest.mark.parametrize("sam", [False, True])
def test_an_overflow_in_float16_leaves_the_step_out_and_lowers_the_scale(tiny: Tiny, sam: bool) -> None:
    """With SAM the first pass overflows: the weights move nowhere, and the second pass must not bring a step of its own."""
    config = tiny(precision="fp16", ema=0.9, optim=OptimConfig(lr=1e-3, sam=sam, sam_rho=0.2))
    learner = build_learner(config, CPU, ALONE)
    learner.scaler.load_state_dict({**learner.scaler.state_dict(), "scale": 2.0**120})
    before = weights(learner)
    result = step(learner, config, noise_batch(4, 7))
    assert not result.updated
    assert result.selected > 0
    assert np.isfinite(list(result.losses.values())).all()
    assert learner.scaler.get_scale() == 2.0**119
    assert all(torch.equal(p, before[name]) for name, p in learner.model.named_parameters())
    assert learner.ema is not None
    assert learner.ema.updates == 0


def test_the_average_of_the_weights_is_what_it_says() -> None:
    model: Any = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    ema = Ema(model, 0.9)
    expected = {name: x.double().numpy().copy() for name, x in model.state_dict().items()}
    rng = torch.Generator().manual_seed(0)
    for n in range(1, 120):
        with torch.no_grad():
            for x in model.state_dict().values():
                x.copy_(torch.randn(x.shape, generator=rng) if x.is_floating_point() else torch.tensor(n))
        ema.update(model)
        d = min(0.9, (1 + n) / (10 + n))
        for name, x in model.state_dict().items():
            expected[name] = d * expected[name] + (1 - d) * x.double().numpy() if x.is_floating_point() else x.double().numpy()
    for name, x in ema.model.state_dict().items():
        assert np.allclose(x.double().numpy(), expected[name], atol=1e-5), name
    assert not any(p.requires_grad for p in ema.model.parameters())


def test_the_average_is_validated_saved_and_resumed(tiny: Tiny, tmp_path: Path) -> None:
    whole = train(tiny(ema=0.5, out=str(tmp_path / "whole")))
    config = tiny(ema=0.5, checkpoint_steps=1)
    stop_after(config, 4)
    final = train(config, resume=True)
    a, b = load_file(whole), load_file(final)
    assert all(torch.equal(value, b[name]) for name, value in a.items())
    value = state.read(Path(config.out) / "checkpoints/last.pt")
    assert value["ema"]["updates"] == 6
    assert any(not torch.equal(x, value["model"][name]) for name, x in value["ema"]["model"].items())
    best = value["position"]["best"]["epoch"]
    if best == 1:
        assert all(torch.equal(x, b[name]) for name, x in value["ema"]["model"].items())
    with pytest.raises(UsageError, match=r"ema: 0.5 -> 0.0"):
        train(dataclasses.replace(config, ema=0.0), resume=True)


def test_layout_and_fused_updates_do_not_change_what_is_learnt(tiny: Tiny) -> None:
    batch = noise_batch(4, 8)
    found = []
    for changes in ({}, {"channels_last": False}, {"optim": OptimConfig(lr=1e-3, fused=False)}):
        config = tiny(model=PLAIN, **changes)
        learner = build_learner(config, CPU, ALONE)
        layout = torch.contiguous_format if changes.get("channels_last") is False else torch.channels_last
        convolution = next(x for x in learner.model.parameters() if x.ndim == 4 and x.shape[1] > 1)
        assert convolution.is_contiguous(memory_format=layout)
        assert learner.optimizer.param_groups[0]["fused"] == (changes.get("optim") is None)
        found.append((step(learner, config, batch).losses, learner.model.state_dict()))
    for losses, after in found[1:]:
        assert losses == pytest.approx(found[0][0], rel=1e-5)
        assert all(torch.allclose(value, found[0][1][name], atol=1e-4) for name, value in after.items())


def test_how_the_optimiser_computes_may_change_on_resume(tiny: Tiny) -> None:
    config = tiny(checkpoint_steps=1, optim=OptimConfig(lr=1e-3, fused=True))
    stop_after(config, 2)
    other = dataclasses.replace(config, channels_last=False, optim=OptimConfig(lr=1e-3, fused=False))
    assert train(other, resume=True).exists()
    assert state.read(Path(config.out) / "checkpoints/last.pt")["optimizer"]["param_groups"][0]["fused"] is False


def test_a_process_without_a_pair_can_take_part_in_a_pass(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SyncBatchNorm needs it: forwards and backwards through everything, with gradients of zero."""
    config = tiny(model=PLAIN, precision="bf16", accumulate=2)
    learner = build_learner(config, CPU, ALONE)
    before = weights(learner)
    passes: list[torch.Size] = []
    learner.model.register_forward_pre_hook(lambda module, args: passes.append(args[0].shape))
    monkeypatch.setattr(Learner, "synchronised", True)
    result = step(learner, config, noise_batch(0, 1))
    assert passes == [(0, 3, 64, 64)] * 2
    assert (result.pairs, result.updated) == (0, False)
    assert all(p.grad is not None and not p.grad.any() for p in learner.model.parameters())
    assert all(torch.equal(x, before[name]) for name, x in learner.model.state_dict().items())


@pytest.mark.slow
def test_compiled_parts_are_used_for_perception_and_for_training(tiny: Tiny) -> None:
    config = tiny(model=PLAIN)
    batch = noise_batch(4, 9)
    plain, compiled = (build_learner(config, CPU, ALONE) for _ in range(2))
    names = set(compiled.model.state_dict())
    compile_parts(compiled.model, CPU, backend="eager")
    assert set(compiled.model.state_dict()) == names
    torch._dynamo.utils.counters.clear()
    a, b = step(plain, config, batch), step(compiled, config, batch)
    assert torch._dynamo.utils.counters["frames"]["ok"] >= 2
    assert a.losses == pytest.approx(b.losses, rel=1e-5)
    assert a.refined == b.refined


def test_compile_without_a_compiler_is_a_clear_error(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        def call(*tensors: Tensor) -> Tensor:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

        return call

    monkeypatch.setattr(setup.torch, "compile", refuse)
    with pytest.raises(UsageError, match=r"compile: torch.compile does not work here \(it needs a C\+\+ compiler.*InvalidCxxCompiler"):
        train(tiny(compile=True))


def test_cuda_graphs_need_a_gpu_and_stand_alone(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="cuda_graphs: need a CUDA GPU, and the network is on the cpu"):
        train(tiny(cuda_graphs=True))
    with pytest.raises(UsageError, match="compile, cuda_graphs: give one of them"):
        build_learner(tiny(cuda_graphs=True, compile=True), torch.device("cuda"), ALONE)


def test_exact_arithmetic_is_switched_on_and_off(tiny: Tiny) -> None:
    build_learner(tiny(deterministic=True), CPU, ALONE)
    assert torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    config = tiny(deterministic=True, epochs=1)
    train(config)
    build_learner(tiny(), CPU, ALONE)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic
