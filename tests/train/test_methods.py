"""Methods of comparison: what their names switch, that they train what they say, and the fakes that are given."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fpg.cli import compare, evaluate
from fpg.cli.train import parse_command
from fpg.common.errors import InputError, UsageError
from fpg.data.dataset import FakeFaces, RealFaces
from fpg.data.manifest import FaceRow
from fpg.engines import load_engine
from fpg.guidance.config import GuidanceConfig
from fpg.guidance.losses import LossConfig
from fpg.pairs import AugmentConfig, Pairs
from fpg.train.config import OptimConfig, TrainConfig
from fpg.train.distributed import ALONE
from fpg.train.given import GivenDataset, GivenMaker
from fpg.train.loop import train
from fpg.train.methods import METHODS, PARTS, describe_method, resolve_method
from fpg.train.pairs import Batch, PairDataset, PreparedSample, Unusable
from fpg.train.sam import ascended
from fpg.train.setup import build_learner
from fpg.train.step import train_step


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(str(path))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def with_fakes(rows: list[FaceRow]) -> list[FaceRow]:
    """Every video's faces again as those of a fake video."""
    return rows + [dataclasses.replace(row, method="swap", label=1) for row in rows]


def test_every_name_is_a_method_and_resolves() -> None:
    assert set(get_args(get_type_hints(TrainConfig)["method"])) == set(METHODS)
    for name in METHODS:
        config = resolve_method(TrainConfig(out="run", data=["d"], method=name))
        config.check()
        assert resolve_method(config) == config
        assert describe_method(config)


def test_methods_switch_what_they_say() -> None:
    config = TrainConfig(out="run", data=["d"])
    assert resolve_method(config) == config
    for name in ("sbi", "sbi-sam", "plain-sbi", "sbi-published", "real-fake"):
        got = resolve_method(dataclasses.replace(config, method=name))
        assert not any((got.guidance.shape, got.guidance.magnitude, got.loss.similarity, got.loss.quality))
        assert (got.model.heads == "plain") == (name in ("plain-sbi", "sbi-published"))
        assert got.optim.sam == (name in ("sbi-sam", "sbi-published"))
        assert (got.fakes == "given") == (name == "real-fake")
    shared = dataclasses.replace(config, method="sbi", loss=LossConfig(similarity=0.3), guidance=GuidanceConfig(threshold=0.5))
    assert resolve_method(shared).loss.similarity == 0.0
    assert resolve_method(shared).guidance.threshold == 0.5


def test_words() -> None:
    config = TrainConfig(out="run", data=["d"])
    assert describe_method(config) == "FPG (ACM MM 2024)"
    part = dataclasses.replace(config, guidance=GuidanceConfig(shape=False), loss=LossConfig(similarity=0))
    assert describe_method(part) == "FPG (ACM MM 2024), without shape refinement and similarity loss"
    eroded = dataclasses.replace(config, guidance=GuidanceConfig(erosion="intended"))
    assert describe_method(eroded) == "FPG (ACM MM 2024), with the intended erosion"
    off = dataclasses.replace(config, guidance=GuidanceConfig(shape=False, magnitude=False), loss=LossConfig(0, 0))
    assert describe_method(off) == describe_method(resolve_method(dataclasses.replace(config, method="sbi")))
    assert "SAM (rho 0.05)" in describe_method(resolve_method(dataclasses.replace(config, method="sbi-sam")))
    assert "bare tf_efficientnet_b4" in describe_method(resolve_method(dataclasses.replace(config, method="plain-sbi")))
    assert set(PARTS) <= set(METHODS["sbi"].switches)


def test_the_command_line_knows_methods_and_ablations() -> None:
    common = ["--data", "d", "--out", "run"]
    off = ["--guidance.shape", "off", "--guidance.magnitude", "off", "--loss.similarity", "0", "--loss.quality", "0"]
    ablated, _ = parse_command([*common, *off])
    named, _ = parse_command([*common, "--method", "sbi"])
    assert dataclasses.replace(ablated, method="sbi") == resolve_method(named)
    assert parse_command([*common, "--guidance.erosion", "intended"])[0].guidance.erosion == "intended"
    with pytest.raises(UsageError, match="method"):
        parse_command([*common, "--method", "magic"])
    with pytest.raises(UsageError, match="fakes: expected self-blended"):
        parse_command([*common, "--fakes", "given"])[0].check()


def test_fpg_with_every_part_off_is_sbi_bit_for_bit(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    off = {"guidance": GuidanceConfig(shape=False, magnitude=False), "loss": LossConfig(similarity=0.0, quality=0.0)}
    runs = {
        "off": tiny(out=str(tmp_path / "off"), **off),
        "sbi": tiny(out=str(tmp_path / "sbi"), method="sbi"),
        "fpg": tiny(out=str(tmp_path / "fpg")),
    }
    got = {name: weights(train(config)) for name, config in runs.items()}
    assert same(got["off"], got["sbi"])
    assert not same(got["fpg"], got["sbi"])
    provenance = json.loads((tmp_path / "sbi" / "model.spec.json").read_text())["provenance"]
    assert provenance["method"] == describe_method(resolve_method(runs["sbi"]))
    log = [json.loads(line) for line in (tmp_path / "sbi" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in log if line["kind"] == "step"]
    assert all(line["quality"] == 0.0 and line["refined"] == 0 for line in steps)
    assert all(line["loss"] == pytest.approx(line["classification"]) for line in steps)


def test_the_plain_network_trains_saves_and_loads_as_an_engine(tiny: Callable[..., TrainConfig]) -> None:
    path = train(tiny(method="plain-sbi", pictures=1))
    assert not [name for name in weights(path) if name.startswith(("quality", "attention"))]
    engine = load_engine(path)
    assert engine.spec.detector["heads"] == "plain"
    out = engine(np.zeros((2, 3, 64, 64), np.float32))
    assert out.logits.shape == (2, 2)
    assert "bare test_efficientnet" in engine.spec.provenance["method"]


def test_sam_trains_and_is_another_training(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    sam, again, sbi = (
        weights(train(tiny(out=str(tmp_path / name), method=method, epochs=1)))
        for name, method in (("sam", "sbi-sam"), ("again", "sbi-sam"), ("sbi", "sbi"))
    )
    assert same(sam, again)
    assert not same(sam, sbi)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_sam_in_low_precision(tiny: Callable[..., TrainConfig], precision: str) -> None:
    path = train(tiny(method="sbi-sam", epochs=1, precision=precision, accumulate=2, ema=0.5))
    assert all(value.isfinite().all() for value in weights(path).values())
    steps = [line for line in map(json.loads, (path.parent / "log.jsonl").read_text().splitlines()) if line["kind"] == "step"]
    assert all(line["updated"] for line in steps)


def test_sam_climbs_along_the_gradient_and_comes_back() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.LazyLinear(1))
    frozen = torch.nn.Parameter(torch.randn(3))
    model.register_parameter("frozen", frozen)
    x = torch.randn(4, 3, 5, 5)
    model(x).square().mean().backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    with ascended(model, 0.1):
        moved = torch.cat([(p - before[n]).flatten() for n, p in model.named_parameters() if p.grad is not None])
        torch.testing.assert_close(moved, 0.1 * gradients / gradients.norm(), atol=1e-6, rtol=1e-4)
        assert torch.equal(frozen, before["frozen"])
        model(x)
        assert not torch.equal(model[1].running_mean, before["1.running_mean"])
    assert same(dict(model.state_dict()), before)
    with pytest.raises(RuntimeError), ascended(model, 0.1):
        raise RuntimeError
    assert same(dict(model.state_dict()), before)


def test_sam_step_follows_the_paper() -> None:
    """One step of a quadratic by hand: the gradient at w + rho g / |g|."""
    scale = torch.tensor([1.0, 10.0])
    model = torch.nn.ParameterList([torch.tensor([3.0, 4.0])])
    (scale * model[0].square()).sum().backward()
    first = 2 * scale * torch.tensor([3.0, 4.0])
    with ascended(model, 0.5):
        model.zero_grad()
        (scale * model[0].square()).sum().backward()
    expected = 2 * scale * (torch.tensor([3.0, 4.0]) + 0.5 * first / first.norm())
    torch.testing.assert_close(model[0].grad, expected)


def test_given_fakes_are_paired_with_every_real_face(prepare: Callable[..., Path]) -> None:
    root = prepare(change=with_fakes)
    faces, fakes = RealFaces([root], "train"), FakeFaces([root], "train")
    assert {e.row.label for e in fakes.entries} == {1}
    assert len(fakes) == len(faces) == 12
    dataset = GivenDataset(faces, fakes, AugmentConfig(), 7)
    maker = GivenMaker(AugmentConfig(), 32, torch.device("cpu"))

    def made(items: list[PreparedSample | Unusable]) -> Pairs:
        return maker.finish(maker.collate(items)).pairs

    items = [dataset[0, sample] for sample in range(24)]
    assert maker.collate(items).samples == list(range(24))
    pairs = made(items)
    assert pairs.real.shape == pairs.fake.shape == (24, 3, 32, 32)
    assert (pairs.mask == 1).all()
    assert torch.equal(pairs.fake, pairs.source)
    again = made([GivenDataset(faces, fakes, AugmentConfig(), 7)[0, 5]])
    assert torch.equal(again.fake[0], pairs.fake[5])
    assert not torch.equal(made([dataset[1, 5]]).real[0], pairs.real[5])
    assert not torch.equal(pairs.real, pairs.fake)
    blended = made([PairDataset(faces, AugmentConfig(), 7)[0, sample] for sample in range(24)])
    assert torch.equal(blended.real, pairs.real)  # the real half is that of all other methods
    assert blended.mask.min() == 0


def test_an_unreadable_fake_is_named_and_left_out(prepare: Callable[..., Path]) -> None:
    def change(rows: list[FaceRow]) -> list[FaceRow]:
        return rows + [dataclasses.replace(row, method="swap", label=1, size=(1, 1)) for row in rows[:1]]

    root = prepare(change=change)
    dataset = GivenDataset(RealFaces([root], "train"), FakeFaces([root], "train"), AugmentConfig(), 7)
    item = dataset[0, 3]
    assert isinstance(item, Unusable)
    assert "as in the manifest" in item.reason


def test_real_fake_trains_on_given_fakes(prepare: Callable[..., Path], tiny: Callable[..., TrainConfig]) -> None:
    config = tiny(method="real-fake", data=[str(prepare(change=with_fakes))], pictures=2)
    path = train(config)
    provenance = json.loads((path.parent / "model.spec.json").read_text())["provenance"]
    assert "given fakes" in provenance["method"]
    assert provenance["data"]["train_fakes"] == 12
    assert provenance["data"]["val_fakes"] == 6
    assert provenance["counts"]["pairs"] == 24
    assert len(list((path.parent / "pictures").iterdir())) == 2


def test_real_fake_without_fakes_says_so(tiny: Callable[..., TrainConfig], prepare: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="no fake faces in split train"):
        train(tiny(method="real-fake"))
    only = prepare(change=lambda rows: rows + [dataclasses.replace(r, method="swap", label=1) for r in rows if r.split == "train"])
    path = train(tiny(method="real-fake", data=[str(only)], out=str(only / "run"), epochs=1))
    assert json.loads((path.parent / "model.spec.json").read_text())["provenance"]["validation"]["auc"] is not None


def test_a_method_is_resumed_as_it_was(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = tiny(method="sbi", epochs=1)
    train(config)
    written: dict[str, Any] = json.loads(json.dumps(config.as_dict()))
    assert written["method"] == "sbi"
    same_run, _ = parse_command(["--out", config.out, "--resume"])
    assert same_run.loss.similarity == 0.0
    train(same_run, resume=True)
    with pytest.raises(UsageError, match="method: 'sbi' -> 'fpg'"):
        train(dataclasses.replace(same_run, method="fpg"), resume=True)


def test_from_training_to_comparison(
    prepare: Callable[..., Path], tiny: Callable[..., TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(prepare(change=with_fakes))
    runs = [str(tmp_path / name) for name in ("sbi", "fpg", "plain-sbi")]
    for run in runs:
        train(tiny(out=run, data=[data], method=Path(run).name, epochs=1))
    assert compare.main(runs) == 1
    assert f"fpg-eval {runs[0]}/model.safetensors --data DIR" in capsys.readouterr().err
    for run in runs:
        arguments = [f"{run}/model.safetensors", "--data", data, "--split", "all", "--json", f"{run}/eval/metrics.json", "--threads", "1"]
        assert evaluate.main(arguments) == 0
    page, out = tmp_path / "c.html", tmp_path / "c.json"
    capsys.readouterr()
    assert compare.main([*runs, "--out", str(page), "--json", str(out), "--resamples", "200"]) == 0
    value = json.loads(out.read_text())
    assert [run["cost"]["images"] for run in value["runs"]] == [24, 24, 24]
    assert all(run["cost"]["seconds"] > 0 for run in value["runs"])
    assert "bare test_efficientnet" in value["runs"][2]["method"]
    (group,) = value["groups"]
    assert (group["real"], group["fake"]) == (7, 7)
    assert group["rows"][0]["auc"] == 0.5  # every fake is its real video again: nothing to find
    assert group["rows"][1]["difference"] == 0
    assert "no difference that these" in capsys.readouterr().out
    assert "SBI, CVPR 2022" in page.read_text()


def test_a_loss_over_all_images_counts_pairs_without_a_mask_and_sgd_moves_by_its_rule(tiny: Callable[..., TrainConfig]) -> None:
    """One SGD step: the weights move by the learning rate times the gradient of the mean cross-entropy over all 8 images."""
    model = dataclasses.replace(tiny().model, heads="plain", dropout=0.0, drop_connect=0.0)
    optim = OptimConfig(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.0)
    config = resolve_method(tiny(method="plain-sbi", model=model, optim=optim, loss=LossConfig(0.0, 0.0, over="all")))
    config.check()
    learner = build_learner(config, torch.device("cpu"), ALONE)
    real, source = torch.rand(2, 4, 3, 64, 64)
    mask = torch.zeros(4, 1, 64, 64)
    mask[:3, :, 8:56, 8:56] = 0.5  # the last pair has none
    pairs = Pairs(mask * source + (1 - mask) * real, real, source, mask)
    batch = Batch(list(range(4)), torch.zeros(4, 3), torch.full((4,), 90.0), [], pairs)
    reference = copy.deepcopy(learner.model).train()
    logits = reference(pairs.images()).logits
    loss = torch.nn.functional.cross_entropy(logits, pairs.labels())
    loss.backward()
    before = {name: p.detach().clone() for name, p in learner.model.named_parameters()}
    result = train_step(learner, None, batch, config, 0, 0, None)
    assert result.losses["loss"] == pytest.approx(float(loss), rel=1e-5)
    assert result.selected == 4
    for (name, p), theirs in zip(learner.model.named_parameters(), reference.parameters(), strict=True):
        if theirs.grad is not None:
            assert torch.allclose(p, before[name] - 0.1 * theirs.grad, atol=2e-5), name
    with pytest.raises(UsageError, match=r"loss\.over: expected selected"):
        tiny(loss=LossConfig(over="all")).check()
