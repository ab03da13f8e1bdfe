"""Weight files that do not fit, are damaged or hold code: one clear line each, nothing executed."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Literal

import pytest
import torch
from published import fill
from timm.models import create_model

from fpg.common.errors import InputError, UsageError
from fpg.models.checkpoints import import_checkpoint
from fpg.models.detector import Detector, DetectorConfig, ExportModule, build_detector
from fpg.models.efficientnet_keys import foreign_names, to_timm
from fpg.models.fiqa import preprocess
from fpg.models.weights import read_checkpoint, read_state


@pytest.fixture(scope="module")
def fiqa_state(vectors: Path) -> dict[str, torch.Tensor]:
    return fill(json.loads((vectors / "fiqa_state_keys.json").read_text()), 1)


class Code:
    """Unpickling this would create a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("writer", ["torch", "legacy", "pickle", "pickle2"])
def test_code_is_refused_and_not_run(tmp_path: Path, writer: str) -> None:
    path, target = tmp_path / "evil.pth", tmp_path / "made"
    value = {"model": {"net._conv_stem.weight": Code(target)}}
    if writer.startswith("pickle"):
        path.write_bytes(pickle.dumps(value, protocol=2 if writer == "pickle2" else 4))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=writer == "torch")
    reason = "nothing in it was run" if writer == "pickle" else "refused: the file holds code.*mkdir"
    with pytest.raises(InputError, match=rf"evil\.pth: .*{reason}") as caught:
        import_checkpoint(path)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    assert "weights_only=False" not in str(caught.value)
    with pytest.raises(InputError, match=reason):
        build_detector(DetectorConfig(backbone="resnet18", image_size=64), path)


@pytest.mark.parametrize("name", ["empty.pth", "text.pth", "cut.pth", "cut.safetensors"])
def test_damaged_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "cut.pth":
        torch.save({"a": torch.rand(100)}, path)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_bytes({"empty.pth": b"", "text.pth": b"hello there, no weights", "cut.safetensors": b"\x40\0\0\0\0\0\0\0{"}[name])
    with pytest.raises(InputError, match=f"{name}: is not a readable checkpoint") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_state_dicts_are_found_and_prefixes_taken_off(tmp_path: Path) -> None:
    weight = torch.rand(2)
    for value in ({"module.w": weight}, {"model": {"module.w": weight}, "epoch": 3}, {"state_dict": {"w": weight}}):
        torch.save(value, tmp_path / "a.pth")
        assert torch.equal(read_state(tmp_path / "a.pth")["w"], weight)
    for nothing in ({}, {"epoch": 3}, [weight]):
        torch.save(nothing, tmp_path / "b.pth")
        with pytest.raises(InputError, match=r"b\.pth: holds no state dict"):
            read_state(tmp_path / "b.pth")


def test_missing_extra_and_mismatched_keys_are_named(tmp_path: Path, fiqa_state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "fiqa.pth"
    torch.save(fiqa_state | {"output.bias": torch.zeros(3)}, path)
    _, report = import_checkpoint(path)
    assert (report.missing, report.extra, report.mismatched) == ((), ("output.bias",), ())

    broken = {name: tensor for name, tensor in fiqa_state.items() if not name.startswith("body.4.res_layer.0.")}
    broken["quality.3.weight"] = torch.zeros(1, 7)
    torch.save(broken, path)
    with pytest.raises(
        InputError,
        match=r"SDD-FIQA \(CVPR 2021\): 5 missing \(body\.4\.res_layer\.0\.weight, .*1 of another shape \(quality\.3\.weight \[1, 7\]",
    ):
        import_checkpoint(path)

    torch.save({"layer1.0.conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="none of the published networks"):
        import_checkpoint(path)


def test_a_published_detector_without_a_head_is_refused(tmp_path: Path, vectors: Path) -> None:
    shapes = json.loads((vectors / "detector_state_keys.json").read_text())
    state = fill({name: shape for name, shape in shapes.items() if not name.startswith("c_attn") and "_blocks.9." not in name}, 1)
    torch.save({"model": state, "epoch": 1}, tmp_path / "fpg.tar")
    with pytest.raises(InputError, match=r"network of FPG \(ACM MM 2024\): \d+ missing \(net\._blocks\.9\."):
        import_checkpoint(tmp_path / "fpg.tar")


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_efficientnet_b0"])
def test_foreign_names_cover_the_network_once(name: str) -> None:
    net = create_model(name)
    names = foreign_names(net)
    state = net.state_dict()
    assert sorted(names.values()) == sorted(state)
    renamed = to_timm({theirs: state[ours] for theirs, ours in names.items()}, net)
    assert all(renamed[key] is state[key] for key in state)


def test_the_state_dict_is_the_one_that_holds_tensors(tmp_path: Path) -> None:
    weight = torch.rand(2)
    for value in (
        {"net": {"module.w": weight}},
        {"model": {"name": "b4"}, "state_dict": {"w": weight}},
        {"model_state_dict": {"w": weight}},
    ):
        torch.save(value, tmp_path / "a.pth")
        assert torch.equal(read_state(tmp_path / "a.pth")["w"], weight)


@pytest.mark.parametrize("size", [256, 224, 380])
def test_padding_of_deepfakebench(size: int) -> None:
    """Sides after every strided convolution: (side + added - kernel) // 2 + 1, the stem alone without padding."""
    model = Detector(DetectorConfig(heads="plain", image_size=size, padding="deepfakebench")).eval()
    side = (size - 3) // 2 + 1
    for added, kernel in ((1, 3), (4, 5), (1, 3), (3, 5)):
        side = (side + added - kernel) // 2 + 1
    with torch.no_grad():
        assert model.last_block(torch.rand(1, 3, size, size)).shape == (1, 448, side, side)
    with pytest.raises(UsageError, match="padding: deepfakebench is for tf_efficientnet backbones, got resnet18"):
        Detector(DetectorConfig(backbone="resnet18", image_size=64, padding="deepfakebench"))


@pytest.mark.parametrize("heads", ["fpg", "plain"])
def test_any_batch_is_exported(heads: Literal["fpg", "plain"]) -> None:
    """The program that exports are made from takes the batch as a variable, with both kinds of heads."""
    config = DetectorConfig(backbone="test_efficientnet", image_size=64, heads=heads, quality_width=16, attention_width=8)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(ExportModule(Detector(config)).eval(), (torch.rand(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    assert program.module()(torch.rand(3, 3, 64, 64))[0].shape == (3, 2)


def test_quality_preprocessing_refuses_other_input() -> None:
    with pytest.raises(ValueError, match=r"images: expected float \[B, 3, H, W\], got torch.uint8 \[1, 3, 8, 8\]"):
        preprocess(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
