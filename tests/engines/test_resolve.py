"""Which model is meant: names, files, folders, the Hub; what is refused, each in one line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fake_hub
import numpy as np
import pytest
from fake_hub import FakeHub

from fpg.common.errors import InputError, UsageError
from fpg.common.files import sha256
from fpg.common.models import (
    SHIPPED,
    WEIGHTS,
    edit_distance,
    find_model,
    number_text,
    packaged,
    packaged_size,
    parse_card,
    read_card,
    write_record,
)
from fpg.common.spec import read_spec, sidecar
from fpg.engines import load_engine
from fpg.engines.resolve import is_model_file, resolve_model
from fpg.export.package import LARGEST
from fpg.models.detector import load_detector
from fpg.models.hub import push_to_hub
from fpg.runtime import VideoDetector


def refused(reference: str, reason: str, **options: object) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        load_engine(resolve_model(reference, **options).path, device="cpu")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_name_gives_the_form_that_is_wanted(models: Path) -> None:
    folder = models / "mine"
    assert resolve_model("mine") == ("mine", folder / "mine-openvino.xml")
    for options in ({"weights": True}, {"device": "cuda"}, {"device": "cuda:0"}):
        assert resolve_model("mine", **options) == ("mine", folder / "mine.safetensors")  # type: ignore[arg-type]
    assert resolve_model("mine").path.is_file()
    images = np.random.default_rng().random((2, 3, 64, 64), np.float32)
    forms = [load_engine(resolve_model("mine", weights=weights).path, device="cpu")(images).logits for weights in (False, True)]
    np.testing.assert_allclose(*forms, atol=1e-3)


def test_files_and_folders(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = models / "mine"
    file = folder / "mine-openvino.xml"
    assert resolve_model(str(file)) == resolve_model(file) == (str(file), file)
    assert resolve_model(str(folder)).path == file
    run = tmp_path / "run"
    run.mkdir()
    for name in ("mine.safetensors", "mine.spec.json"):
        shutil.copy(folder / name, run / name)
    assert resolve_model(str(run)).path == run / "mine.safetensors"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert resolve_model("mine").path == file, "a name comes before a folder here"
    refused("./mine", "expected model.safetensors or one model file of a kind .* found 0")
    refused("absent.safetensors", "absent.safetensors: no such file")
    refused("a/b", "a/b: no such file or folder")
    with pytest.raises(UsageError, match="empty name"):
        resolve_model("")


def test_unknown_names_list_the_nearest(models: Path) -> None:
    for name in ("other", "starters", "zzzzzzzzzzz"):
        shutil.copytree(models / "mine", models / name)
    refused("stater", r"^stater: no model of that name \(nearest: starter, starters, ")
    assert edit_distance("kitten", "sitting") == 3
    assert (edit_distance("", "abc"), edit_distance("same", "same")) == (3, 0)


def test_what_ships() -> None:
    """Every model in the package: whole, vouched for, small enough, with a card that says what it has to."""
    assert "starter" in packaged()
    for folder in (path for path in SHIPPED.iterdir() if path.is_dir()):
        assert packaged_size(folder) <= LARGEST
        model = resolve_model(str(folder))
        spec = read_spec(model.path)
        spec.verify(model.path.parent)
        card = read_card(folder)
        assert card is not None
        assert card.licence
        needed = {"summary", "sources", "recipe", "commit", "seed", "hours", "numbers", "threshold", "false_positive_rate", "blind_to"}
        assert needed | {"intended_use", "misuse"} <= set(card.own)
        assert card.own["threshold"] == spec.threshold
        record = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
        assert record == {path.name: sha256(path) for path in folder.iterdir() if path.name not in ("README.md", "SHA256SUMS")}
        notice = (SHIPPED.parents[1] / "NOTICE").read_text(encoding="utf-8")
        assert all(source["name"] in notice for source in card.own["sources"] if not spec.warnings)


def test_changed_files_judge_nothing(models: Path) -> None:
    folder = models / "mine"
    weights = folder / "mine.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert resolve_model("mine").name == "mine", "the other form is whole"
    with pytest.raises(InputError, match=r"mine\.safetensors: does not match its sidecar"):
        load_engine(resolve_model("mine", weights=True).path)
    spec = read_spec(weights)
    changed = sidecar(weights).read_text().replace(spec.files["mine.safetensors"], sha256(weights))
    sidecar(weights).write_text(changed)  # a sidecar that agrees with the changed weights
    for reference in ("mine", str(folder), str(weights)):
        refused(reference, r"mine\.spec\.json: is not what the model's record SHA256SUMS holds", weights=True)
    write_record(folder)
    assert resolve_model("mine", weights=True).path == weights
    (folder / "SHA256SUMS").write_text("\n")
    refused("mine", r"there no such file")


FRONTS = ("", "tags: [a]", "license:", 'license: ""', "license: null")


@pytest.mark.parametrize("front", [f"---\n{front}\n---\n" if front else "" for front in FRONTS])
def test_a_card_without_a_licence_judges_nothing(front: str, models: Path) -> None:
    card = models / "mine" / "README.md"
    card.write_text(front + "# A model\n")
    refused("mine", "README.md: the model card states no licence")
    if front:
        refused(str(models / "mine"), "README.md: the model card states no licence")
    card.unlink()
    refused("mine", "README.md: no such file: a packaged model needs a model card")


def test_cards() -> None:
    card = parse_card("---\nlicense: mit\nfpg: {hours: 2}\n---\n# A\n---\nb\n", "c")
    assert (card.licence, card.own, card.text) == ("mit", {"hours": 2}, "# A\n---\nb\n")
    assert parse_card("# A\n", "c").facts == {}
    for text in ("---\n- a\n---\n", "---\na: [\n---\n", "---\na: !!python/object:os.system {}\n---\n"):
        with pytest.raises(InputError, match=r"^c: is not a readable model card"):
            parse_card(text, "c")
    assert number_text({"metric": "AUC", "value": 0.8251, "data": "x", "low": 0.7, "high": 0.9}) == "AUC 0.83 [0.70, 0.90] on x"
    dated = {"metric": "called fake", "value": "2 of 15", "data": "x", "date": "2026-11-28"}
    assert number_text(dated) == "called fake 2 of 15 on x (2026-11-28)"


def test_names_of_model_files() -> None:
    assert all(map(is_model_file, ("a.xml", "b/c.ONNX", "d.engine", "e.safetensors", "f.pth", "FFc23.tar")))
    assert not any(map(is_model_file, ("a.mp4", "b.jpg", "starter", "folder/", "c.json")))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub.serve(monkeypatch, tmp_path / "cache") as server:
        yield server


def test_the_hub(hub: FakeHub, models: Path) -> None:
    push_to_hub(models / "mine" / "mine.safetensors", "lab/mine", license="cc-by-4.0")
    model = resolve_model("hf:lab/mine")
    assert model.name == "hf:lab/mine"
    _, spec = load_detector(model.path)
    assert spec.warnings == read_spec(models / "mine" / "mine.safetensors").warnings
    assert resolve_model(f"hf:lab/mine@{fake_hub.COMMIT}").path == model.path
    files = hub.repositories["lab/mine"]
    hub.repositories["lab/bare"] = {name: content for name, content in files.items() if name != "README.md"}
    hub.repositories["lab/unlicensed"] = {**files, "README.md": b"---\ntags: []\n---\n# A\n"}
    hub.repositories["lab/other"] = {"README.md": files["README.md"], "config.json": b"{}", "pytorch_model.bin": b""}
    refused("hf:lab/bare", "lab/bare: the repository has no model card")
    refused("hf:lab/unlicensed", "lab/unlicensed/README.md: the model card states no licence")
    refused("hf:lab/other", "lab/other: the repository lacks model.safetensors or model.spec.json")
    refused("hf:lab/nothing", "lab/nothing: the Hub has no such repository")


def test_a_detector_without_a_name_is_the_starter(models: Path) -> None:
    shutil.copytree(models / "mine", models / "starter")
    with VideoDetector(analyzer=lambda: lambda image: []) as detector, VideoDetector("mine", lambda: lambda image: []) as named:
        assert detector.engine.spec.model_file == named.engine.spec.model_file == "mine-openvino.xml"
        assert detector.engine.spec.warnings


def test_the_first_of_several_kinds(models: Path) -> None:
    folder = models / "mine"
    (folder / "two.xml").write_text("")
    shutil.copy(folder / "mine-openvino.spec.json", folder / "two.spec.json")
    with pytest.raises(InputError, match="found 2"):
        find_model(folder)
    assert find_model(folder, WEIGHTS).name == "mine.safetensors"
