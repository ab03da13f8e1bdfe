"""Detectors to and from the Hugging Face Hub (a fake one on the loopback) and folders; every refusal is one clear line."""

from __future__ import annotations

import copy
import json
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path

import fake_hub
import huggingface_hub.constants as constants
import pytest
import torch
import yaml
from fake_hub import FakeHub

import fpg.cli.import_weights as import_weights
import fpg.models
from fpg.common.errors import InputError
from fpg.models.detector import Detector, DetectorConfig, build_detector, load_detector, save_detector
from fpg.models.hub import fetch, push_to_hub

CONFIG = DetectorConfig(backbone="test_efficientnet", image_size=64, quality_width=16, attention_width=8)
PROVENANCE = {
    "method": "FPG (ACM MM 2024)",
    "seed": 3,
    "command": ["fpg-train", "--data", "/home/somebody/secret/ff"],
    "platform": "Linux-somewhere",
    "data": {"fingerprint": "f00d" * 16, "folders": ["/home/somebody/secret/ff"], "train_faces": 40, "train_videos": 5},
    "quality": {"name": "fiqa", "file": "/home/somebody/secret/fiqa.pth"},
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub.serve(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(4)
    path = tmp_path / "run" / "model.safetensors"
    save_detector(path, build_detector(CONFIG), provenance=PROVENANCE, threshold=0.4, temperature=2.0)
    return path


def evaluation(path: Path) -> dict[str, object]:
    """The part of fpg-eval's JSON that a card uses."""
    spec = load_detector(path)[1]
    numbers = {"auc": 0.91234, "ap": 0.9, "eer": None, "accuracy": 0.8, "videos": 7}
    return {
        **numbers,
        "failed": 1,
        "no_face": 1,
        "protocol": {"text": "per video; 7 videos", "unit": "video", "frames": 32, "aggregation": "max | mean", "compression": "c23"},
        "by_dataset": [{"dataset": "Celeb-DF-v2", "without_score": 2, **numbers}],
        "by_method": [{"dataset": "Celeb-DF-v2", "method": "swap", "without_score": 0, **numbers}],
        "model": {"file": path.name, "backend": "torch", "precision": "fp32", "sha256": spec.files[path.name]},
    }


def same(one: Detector, other: Detector) -> bool:
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        return torch.equal(one.eval()(x).logits, other.eval()(x).logits)


def test_round_trip(hub: FakeHub, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps(evaluation(saved)))
    url = push_to_hub(saved, "lab/first", metrics=metrics, license="cc-by-nc-4.0")
    assert url.startswith(f"{hub.address}/lab/first/")
    files = hub.repositories["lab/first"]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors", "model.spec.json"]
    assert files["model.safetensors"] == saved.read_bytes()
    assert json.loads(files["config.json"])["backbone"] == "test_efficientnet"
    assert not any(b"somebody" in content or b"somewhere" in content for content in files.values())

    original = load_detector(saved)[0]
    fetched = Detector.from_pretrained("lab/first")
    assert same(original, fetched)
    assert fetched.spec is not None
    assert (fetched.spec.threshold, fetched.spec.temperature, fetched.spec.provenance["seed"]) == (0.4, 2.0, 3)

    monkeypatch.chdir(tmp_path)
    assert import_weights.main(["hf:lab/first@main"]) == 0
    assert capsys.readouterr().out == "first.safetensors  FPG (ACM MM 2024) on test_efficientnet\n"
    imported, spec = load_detector("first.safetensors")
    assert same(original, imported)
    assert (spec.threshold, spec.provenance["hub"]) == (0.4, {"repository": "lab/first", "revision": "main"})

    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(original, Detector.from_pretrained("lab/first"))  # from the cache
    assert len(hub.requests) == asked


def test_the_mixins_own_way(hub: FakeHub, tmp_path: Path) -> None:
    """A network that was never saved, published from memory and saved to a folder by the mixin's methods."""
    model = build_detector(CONFIG)
    model.push_to_hub("lab/second")
    assert same(model, Detector.from_pretrained("lab/second", revision=fake_hub.COMMIT))
    model.save_pretrained(tmp_path / "folder", model_card_kwargs={"license": "apache-2.0"})
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "model.spec.json",
    ]
    assert "license: apache-2.0" in (tmp_path / "folder" / "README.md").read_text()
    assert same(model, Detector.from_pretrained(tmp_path / "folder"))


def test_the_card(hub: FakeHub, saved: Path, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps(evaluation(saved)))
    push_to_hub(saved.parent, "lab/card", metrics=metrics)
    text = hub.repositories["lab/card"]["README.md"].decode()
    _, head, body = text.split("---\n", 2)
    data = yaml.safe_load(head)
    assert data["license"] == "other"
    assert data["library_name"] == "fpg"
    assert data["pipeline_tag"] == "image-classification"
    assert "deepfake-detection" in data["tags"]
    assert data["datasets"] == ["Celeb-DF-v2", "ff"]
    assert data["metrics"] == ["roc_auc", "average_precision", "accuracy"]
    titles = [line for line in body.splitlines() if line.startswith("## ")]
    assert titles == ["## Data", "## Protocol", "## Results", "## Limits", "## Intended use, and misuse", "## How to use"]
    assert "| Fingerprint | " + "f00d" * 16 in body
    assert "| all | 0.9123 | 0.9000 | - | 0.8000 | 7 | 2 |" in body
    assert "| Celeb-DF-v2 / swap | 0.9123 |" in body
    assert "| aggregation | max \\| mean |" in body
    assert "| License of the weights | not stated |" in body
    assert 'Detector.from_pretrained("lab/card")' in body

    push_to_hub(saved, "lab/plain")
    plain = hub.repositories["lab/plain"]["README.md"].decode()
    assert "Not evaluated when this card was written." in plain
    assert "None given. Evaluate with `fpg-eval`" in plain
    assert "metrics" not in yaml.safe_load(plain.split("---\n", 2)[1])


def test_an_evaluation_of_something_else_is_refused(hub: FakeHub, saved: Path, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    for value, reason in (("{", "not a readable evaluation"), ("[1]", "is not an evaluation"), ('{"auc": 1}', "is not an evaluation")):
        metrics.write_text(value)
        with pytest.raises(InputError, match=rf"metrics\.json: .*{reason}"):
            push_to_hub(saved, "lab/a", metrics=metrics)
    other = evaluation(saved)
    other["model"] = {"file": "b.safetensors", "backend": "torch", "sha256": "0" * 64}
    metrics.write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"evaluation of another model \(b\.safetensors\)"):
        push_to_hub(saved, "lab/a", metrics=metrics)
    assert hub.requests == []


def test_a_moved_repository_is_found(hub: FakeHub, saved: Path) -> None:
    push_to_hub(saved, "lab/new")
    hub.moved["lab/old"] = "lab/new"
    assert same(load_detector(saved)[0], Detector.from_pretrained("lab/old"))


def test_what_the_hub_lacks(hub: FakeHub, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    push_to_hub(saved, "lab/whole")
    hub.repositories["lab/others"] = {"README.md": b"", "pytorch_model.bin": b""}
    hub.repositories["lab/half"] = {"model.spec.json": hub.repositories["lab/whole"]["model.spec.json"]}
    hub.repositories["lab/mixed"] = {**hub.repositories["lab/whole"], "model.safetensors": b"other bytes"}
    for name, options, reason in (
        ("lab/nothing", {}, "lab/nothing: the Hub has no such repository, or it is private"),
        ("lab/whole", {"revision": "v9"}, "lab/whole: the repository has no such revision"),
        ("lab/others", {}, "lab/others: the repository lacks model.safetensors or model.spec.json"),
        ("lab/half", {}, "lab/half: the repository lacks model.safetensors or model.spec.json"),
        ("lab/mixed", {}, "does not match its sidecar"),
        ("no/such/folder", {}, "no/such/folder: no such file or folder, and not a name on the Hub"),
    ):
        with pytest.raises(InputError) as caught:
            Detector.from_pretrained(name, **options)
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)
    out = tmp_path / "out"
    assert import_weights.main(["hf:lab/nothing", "hf:lab/whole", "hf:", "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert "error: lab/nothing: the Hub has no such repository" in told.err
    assert sum(line.startswith("error: ") for line in told.err.splitlines()) == 2
    assert sorted(path.name for path in out.iterdir()) == ["whole.safetensors", "whole.spec.json"]


@pytest.mark.parametrize("how", ["closed port", "HF_HUB_OFFLINE"])
def test_without_a_network(
    how: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fake_hub.use(monkeypatch, f"http://127.0.0.1:{port}", tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", how == "HF_HUB_OFFLINE")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's attempts
    for call in (lambda: Detector.from_pretrained("lab/first"), lambda: push_to_hub(saved, "lab/first")):
        with pytest.raises(InputError, match=r"^lab/first: the Hub cannot be reached"):
            call()
    monkeypatch.chdir(tmp_path)
    assert import_weights.main(["hf:lab/first"]) == 1
    asking, line = capsys.readouterr().err.splitlines()
    assert asking == "hf:lab/first: asking the Hugging Face Hub"
    assert line.startswith("error: lab/first: the Hub cannot be reached; a model fetched elsewhere works as a folder")
    assert not Path("first.safetensors").exists()
    assert same(load_detector(saved)[0], Detector.from_pretrained(saved.parent))  # the disk needs no network


def test_folders(saved: Path, tmp_path: Path) -> None:
    original = load_detector(saved)[0]
    assert same(original, Detector.from_pretrained(saved))
    save_detector(saved.with_name("best.safetensors"), build_detector(CONFIG))
    assert same(original, Detector.from_pretrained(str(saved.parent)))
    for path in saved.parent.glob("model.*"):
        path.rename(tmp_path / path.name.replace("model", "other"))
    assert Detector.from_pretrained(saved.parent).spec.model_file == "best.safetensors"
    save_detector(saved.with_name("last.safetensors"), build_detector(CONFIG))
    with pytest.raises(InputError, match=r"expected model\.safetensors or one \.safetensors file with its \.spec\.json, found 2"):
        Detector.from_pretrained(saved.parent)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="found 0"):
        Detector.from_pretrained(tmp_path / "empty")


def test_the_mixin_leaves_the_network_as_it_is(saved: Path) -> None:
    model = load_detector(saved)[0]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same(model, other)
        assert other.spec == model.spec
    assert Detector(CONFIG).spec is None


def test_public_names() -> None:
    assert fpg.models.Detector is Detector
    assert fpg.models.push_to_hub is push_to_hub
    assert all(callable(getattr(fpg.models, name)) for name in fpg.models.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fpg.models.nothing  # noqa: B018


def test_a_name_without_an_address_is_not_tried_for_a_minute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The client is not asked to reach anything, and says nothing of attempts."""
    fake_hub.use(monkeypatch, "https://hub.invalid", tmp_path / "cache")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    asked: list[object] = []

    def unknown(host: str, *rest: object) -> None:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(InputError, match=r"^lab/first: the Hub cannot be reached.*\(hub\.invalid: Name or service not known\)$"):
        fetch("lab/first")
    with pytest.raises(InputError, match=r"resnet18: pretrained weights cannot be fetched.*\(hub\.invalid: Name or service not known\)$"):
        build_detector(DetectorConfig(backbone="resnet18", image_size=64), True)
    assert asked == ["hub.invalid"] * 2
    assert constants.HF_HUB_OFFLINE is False
