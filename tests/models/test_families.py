"""Detectors of others, from their files to ours and back: every tensor accounted for, the same answers, one line for what cannot be."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import encoders
import fake_hub
import huggingface_hub.constants as constants
import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from fake_hub import COMMIT, FakeHub
from torch import Tensor

import fpg.cli.import_weights as import_weights
from fpg.common.errors import InputError
from fpg.common.spec import read_spec
from fpg.engines import load_engine
from fpg.export.exporter import export_detector
from fpg.models.detector import load_detector
from fpg.models.families import card_path, gend, import_folder, stated_license
from fpg.models.weights import KeysError

STATES = {"clip": encoders.clip_state, "dino": encoders.dino_state, "pe": encoders.pe_state}
VECTORS = {"clip": encoders.clip_vector, "dino": encoders.dino_vector, "pe": encoders.pe_vector}
CARD = "---\nlicense: mit\ntags: [x]\n---\n# A detector\n"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders in miniature for the published ones."""
    tiny = {
        "clip": gend._clip("vit_miniature_clip"),
        "dino": gend._dinov3("tiny"),
        "pe": gend._pe("vit_pe_core_tiny_patch16_384"),
    }
    monkeypatch.setattr(gend, "ENCODERS", {**gend.ENCODERS, **tiny})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub.serve(monkeypatch, tmp_path / "cache") as server:
        yield server


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def published(folder: Path, state: dict[str, Tensor], config: object, card: str | None = CARD) -> Path:
    """A folder as it lies on the Hub."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")
    if card is not None:
        (folder / "README.md").write_text(card)
    return folder


@pytest.mark.parametrize(("kind", "head"), [("clip", "LinearNorm"), ("clip", "linear"), ("dino", "LinearNorm"), ("pe", "LinearNorm")])
def test_gend_answers_as_published(
    kind: str, head: str, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = STATES[kind](generator(seed))
    folder = published(tmp_path / "GenD.v1", state, {"model_type": "GenD", "backbone": kind, "head": head})
    monkeypatch.chdir(tmp_path)
    assert import_weights.main([f"{folder}/", "--verbose"]) == 0
    told = capsys.readouterr()
    path = tmp_path / "GenD.v1.safetensors"
    model, spec = load_detector(path)
    images = torch.rand(2, 3, 224, 224, generator=generator(seed))
    with torch.no_grad():
        expected = encoders.answer(state, VECTORS[kind](state, images), head)
        torch.testing.assert_close(model(images).logits, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert (spec.crop, spec.map_size, spec.image_size, list(spec.outputs)) == ("aligned", None, 224, ["logits"])
    imported = spec.provenance["imported"]
    assert (imported["license"], imported["folder"], imported["file"]) == ("mit", "GenD.v1", "model.safetensors")
    card = card_path(path).read_text()
    assert "license: mit" in card
    assert "of `GenD.v1`" in card
    assert imported["sha256"] in card
    assert "no activation map" in card
    for name in state:  # each is named as what became of it
        assert f"used: {name}" in told.err or f"not needed: {name}" in told.err
    assert "license: mit" in told.err


@pytest.mark.parametrize("kind", ["clip", "dino", "pe"])
def test_there_and_back(kind: str, seed: int, tmp_path: Path) -> None:
    """Nothing is lost or mixed up: the file's tensors come back, bit by bit, from ours."""
    state = STATES[kind](generator(seed))
    model = import_folder(published(tmp_path / "a", state, {"backbone": kind, "head": "linear"})).model
    back: dict[str, Tensor] = {}
    for ours, tensor in model.state_dict().items():
        names = gend._names(ours, gend.ENCODERS[kind])
        for name, part in zip(names, tensor.chunk(len(names)), strict=True):
            back[name] = part.reshape(state[name].shape) if part.numel() == state[name].numel() else part
    spare = {"feature_extractor.visual_projection.weight", "feature_extractor.backbone.embeddings.mask_token"}
    assert set(state) - spare == set(back)
    resampled = "feature_extractor.backbone.pos_embed"
    for name, tensor in back.items():
        assert name == resampled or torch.equal(tensor, state[name]), name


def test_published_names_are_networks_of_timm() -> None:
    for name, encoder in gend.ENCODERS.items():
        assert timm.is_model(encoder.architecture), name
    assert gend.ENCODERS["openai/clip-vit-large-patch14"].architecture == "vit_large_patch14_clip_quickgelu_224"


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_exported_engines_answer_alike(to: str, seed: int, tmp_path: Path) -> None:
    folder = published(tmp_path / "g", STATES["clip"](generator(seed)), {"backbone": "clip", "head": "LinearNorm"})
    assert import_weights.main([str(folder), "--out", str(tmp_path / "m.safetensors")]) == 0
    done = export_detector(tmp_path / "m.safetensors", to, tmp_path)
    assert done.parity.passed
    assert (done.spec.map_size, done.spec.crop) == (None, "aligned")
    assert "activation map" not in str(done.parity)
    images = np.random.default_rng(seed).random((3, 3, 224, 224), np.float32)
    answer = load_engine(done.path)(images)
    assert answer.activation_map is None
    np.testing.assert_allclose(answer.logits, load_engine(tmp_path / "m.safetensors")(images).logits, atol=1e-4)


def test_every_key_that_does_not_fit_is_named(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = encoders.clip_state(generator(seed))
    layer = "feature_extractor.vision_model.encoder.layers.1."
    gone, shrunk = f"{layer}mlp.fc1.bias", f"{layer}self_attn.k_proj.weight"
    del state[gone]
    state[shrunk] = state[shrunk][:-1]
    state[f"{layer}self_attn.q_proj.lora_A.weight"] = torch.zeros(1)
    with pytest.raises(KeysError) as caught:
        import_folder(published(tmp_path / "a", state, {"backbone": "clip", "head": "linear"}))
    lines = "\n".join(caught.value.keys)
    for text in (f"missing: {gone}", f"extra: {layer}self_attn.q_proj.lora_A.weight", "of another shape: "):
        assert text in lines
    assert shrunk in lines
    assert import_weights.main([str(tmp_path / "a"), "--out", str(tmp_path / "out")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


Spoil = Callable[[Path], object]
BAD: dict[str, tuple[Spoil, str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), r"holds no config\.json"),
    "config of nothing": (lambda f: (f / "config.json").write_text("{}"), "describes no detector that fpg can import"),
    "other model": (lambda f: (f / "config.json").write_text('{"model_type": "bert"}'), "but bert"),
    "no JSON": (lambda f: (f / "config.json").write_text("{"), "is not readable JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "expected a JSON object, got list"),
    "deep": (lambda f: (f / "config.json").write_text("[" * 10**5), "is not readable JSON"),
    "other backbone": (
        lambda f: (f / "config.json").write_text('{"backbone": "x", "head": "linear"}'),
        "backbone: expected one of openai",
    ),
    "no backbone": (lambda f: (f / "config.json").write_text('{"model_type": "GenD", "head": "linear"}'), "backbone: expected one of"),
    "other head": (lambda f: (f / "config.json").write_text('{"model_type": "GenD", "backbone": "clip"}'), "head: expected one of linear"),
    "other size": (
        lambda f: (f / "config.json").write_text('{"backbone": "openai/clip-vit-base-patch32", "head": "linear"}'),
        "does not fit the network of GenD",
    ),
    "pickle": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), r"pytorch_model\.bin is pickled and may run code"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"holds no model\.safetensors \(it has no weights\)"),
    "web page": (lambda f: (f / "model.safetensors").write_text("<!DOCTYPE html>"), "it is a web page"),
    "no card": (lambda f: (f / "README.md").unlink(), "its card states no licence.*--license"),
    "no licence": (lambda f: (f / "README.md").write_text("---\ntags: []\n---\n"), "its card states no licence"),
    "broken card": (lambda f: (f / "README.md").write_text("---\nlicense: [\n---\n"), "metadata cannot be read"),
    "ours": (lambda f: (f / "model.spec.json").write_text("{}"), "holds a detector of fpg already"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_imported(what: str, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = published(tmp_path / "a", encoders.clip_state(generator(seed)), {"backbone": "clip", "head": "linear"})
    spoil, reason = BAD[what]
    spoil(folder)
    assert import_weights.main([str(folder), "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}")
    assert re.search(reason, line), line
    assert not (tmp_path / "out").exists()


def test_nan_is_no_detector(seed: int, tmp_path: Path) -> None:
    state = encoders.clip_state(generator(seed))
    state["model.linear.bias"][0] = torch.nan
    folder = published(tmp_path / "a", state, {"backbone": "clip", "head": "linear"})
    assert import_weights.main([str(folder), "--out", str(tmp_path / "out")]) == 1


def test_a_licence_and_a_crop_from_elsewhere(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = published(tmp_path / "a", encoders.clip_state(generator(seed)), {"backbone": "clip", "head": "linear"}, card=None)
    assert import_weights.main([str(folder), "--license", "apache-2.0", "--crop", "evaluation", "--out", str(tmp_path)]) == 0
    spec = read_spec(tmp_path / "a.safetensors")
    assert (spec.crop, spec.provenance["imported"]["license"]) == ("evaluation", "apache-2.0")
    assert import_weights.main([str(tmp_path / "a.safetensors"), "--crop", "aligned"]) == 2
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: dinov3-license\n---\n")
    assert stated_license(folder) == "dinov3-license"


def test_from_the_hub_and_without_it(
    hub: FakeHub, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = published(tmp_path / "a", encoders.clip_state(generator(seed)), {"backbone": "clip", "head": "LinearNorm"})
    hub.repositories["lab/GenD"] = {file.name: file.read_bytes() for file in folder.iterdir()}
    hub.repositories["lab/silent"] = {name: data for name, data in hub.repositories["lab/GenD"].items() if name != "README.md"}
    hub.repositories["lab/pickled"] = {"config.json": b"{}", "pytorch_model.bin": b""}
    monkeypatch.chdir(tmp_path)
    assert import_weights.main(["hf:lab/GenD", "hf:lab/silent", "hf:lab/pickled"]) == 1
    told = capsys.readouterr()
    imported = read_spec(tmp_path / "GenD.safetensors").provenance["imported"]
    assert (imported["repository"], imported["revision"], imported["license"]) == ("lab/GenD", COMMIT, "mit")
    assert f"`lab/GenD` at revision `{COMMIT}`" in card_path(tmp_path / "GenD.safetensors").read_text()
    assert "error: lab/silent: its card states no licence" in told.err
    assert "error: lab/pickled: the repository lacks model.safetensors or config.json" in told.err
    assert not any("pytorch_model" in request for request in hub.requests)

    with socket.socket() as probe:  # nobody answers there
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fake_hub.use(monkeypatch, f"http://127.0.0.1:{port}", tmp_path / "cache")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert import_weights.main(["hf:lab/GenD", "--out", str(tmp_path / "again.safetensors")]) == 0  # in the cache
    assert import_weights.main(["hf:yermandy/GenD_CLIP_L_14"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "yermandy/GenD_CLIP_L_14: the Hub cannot be reached" in line


def classifier(name: str, seed: int, classes: int = 2, **options: Any) -> tuple[torch.nn.Module, dict[str, Any]]:
    """A network of timm whose answers spread, and the configuration that timm would save next to it."""
    torch.manual_seed(seed)
    net = timm.create_model(name, pretrained=False, num_classes=classes, **options).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    with torch.no_grad():
        last = net.get_classifier()
        last.weight.normal_(0, 0.5)
        last.bias.normal_()
    described = {"input_size": [3, 64, 64], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "crop_pct": 0.9}
    return net, {"architecture": name, "num_classes": classes, "label_names": ["fake", "real"], "pretrained_cfg": described}


@pytest.mark.parametrize(
    ("name", "options", "labels", "classes", "has_map"),
    [
        ("test_efficientnet", {}, ["Fake", "Real"], 2, True),
        ("test_resnet", {}, ["real", "deep-fake"], 1, True),
        ("test_convnext", {}, ["bona fide", "spoof"], 2, False),
        ("test_vit", {"img_size": 64}, ["real"], 1, False),
    ],
)
def test_classifiers_of_timm(
    name: str, options: dict[str, Any], labels: list[str], classes: int, has_map: bool, seed: int, tmp_path: Path
) -> None:
    net, config = classifier(name, seed, classes, **options)
    config |= {"label_names": labels, "model_args": options}
    folder = published(tmp_path / "c", net.state_dict(), config)
    assert import_weights.main([str(folder), "--out", str(tmp_path / "m.safetensors")]) == 0
    model, spec = load_detector(tmp_path / "m.safetensors")
    assert ((spec.map_size is not None), spec.crop) == (has_map, "evaluation")
    images = torch.rand(3, 3, 64, 64, generator=generator(seed))
    mean, std = (torch.tensor(config["pretrained_cfg"][key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        theirs, ours = net((images - mean) / std), model(images).logits.softmax(1)[:, 1]
    fake = theirs.sigmoid()[:, 0] if classes == 1 else theirs.softmax(1)[:, 1]
    expected = fake if labels[-1] in ("deep-fake", "spoof") else 1 - fake
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)
    assert float(ours.std()) > 1e-4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label_names": ["cat", "dog"]}, "label_names: expected a name for real and one for fake"),
        ({"label_names": None}, "got none"),
        ({"label_names": ["real", "live"]}, "label_names: expected"),
        ({"num_classes": 3}, "num_classes: expected 1 or 2"),
        ({"num_classes": None}, "num_classes: expected 1 or 2"),
        ({"architecture": "no_such_net"}, "architecture: expected a network of timm, got no_such_net"),
        ({"architecture": "test_resnet"}, "does not fit the network of timm's test_resnet"),
        ({"model_args": {"checkpoint_path": "/etc/passwd"}}, "model_args: the network is built by its name alone, got checkpoint_path"),
        ({"pretrained_cfg": {"input_size": [1, 64, 64]}}, r"input_size: expected \[3, S, S\]"),
        ({"pretrained_cfg": {"input_size": [3, 64, 64], "mean": [1]}}, "mean: expected three numbers"),
        ({"pretrained_cfg": {"input_size": [3, 64, 64], "mean": [0, 0, 0], "std": [0, 0, 0]}}, "std: expected three numbers > 0"),
        ({"pretrained_cfg": {"input_size": [3, 9, 9], "mean": [0, 0, 0], "std": [1, 1, 1]}}, "image_size: expected at least 32"),
        ({"pretrained_cfg": {"input_size": [3, "64", "64"], "mean": [0, 0, 0], "std": [1, 1, 1]}}, "input_size: expected"),
        ({"global_pool": "catavgmax"}, "of another shape"),
        ({"global_pool": "avgmax"}, None),
    ],
)
def test_classifiers_that_are_none(changes: dict[str, Any], reason: str | None, seed: int, tmp_path: Path) -> None:
    net, config = classifier("test_efficientnet", seed)
    if reason is None:  # another pooling than a mean: no map, and still a classifier
        found = import_folder(published(tmp_path / "c", net.state_dict(), {**config, **changes}))
        assert (found.model.config.heads, found.model.config.global_pool) == ("linear", "avgmax")
        return
    with pytest.raises(InputError, match=reason):
        import_folder(published(tmp_path / "c", net.state_dict(), {**config, **changes}))
