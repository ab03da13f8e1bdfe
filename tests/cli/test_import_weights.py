"""fpg-import: every published format becomes a file that the other programs use; what cannot be used is one line each."""

from __future__ import annotations

import json
from pathlib import Path

import makers
import numpy as np
import pytest
import safetensors.torch
import torch
from published import fill, published_state, relative

import fpg.cli.detect as detect
import fpg.cli.evaluate as evaluate
import fpg.cli.export as export
import fpg.cli.import_weights as import_weights
from fpg.engines import load_engine
from fpg.models.checkpoints import KINDS, LAYOUTS
from fpg.models.detector import load_detector
from fpg.models.fiqa import Fiqa
from fpg.models.weights import read_state
from fpg.train.quality import quality_target

DATA = Path(__file__).parents[1] / "data"


def deepfakebench_state(vectors: Path, seed: int) -> dict[str, torch.Tensor]:
    """The benchmark's names are those of SBI's network under other prefixes."""
    shapes = json.loads((vectors / "sbi_state_keys.json").read_text())
    names = {name: name.replace("net._fc", "backbone.last_layer").replace("net.", "backbone.efficientnet.") for name in shapes}
    return fill({names[name]: shape for name, shape in shapes.items()}, seed)


def seed_of(path: Path) -> int:
    return int(np.load(path)["seed"])


@pytest.fixture(scope="module")
def files(vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as they are published, filled by the rule of the vectors."""
    folder = tmp_path_factory.mktemp("published")
    fpg = published_state(vectors, "detector", seed_of(vectors / "detector_forward.npz"))
    torch.save({"model": {f"module.{name}": tensor for name, tensor in fpg.items()}, "optimizer": {}, "epoch": 50}, folder / "fpg.tar")
    torch.save({"model": published_state(vectors, "sbi", seed_of(vectors / "sbi_forward.npz")), "epoch": 9}, folder / "sbi.tar")
    bench = deepfakebench_state(vectors, seed_of(DATA / "deepfakebench_forward.npz"))
    torch.save({f"module.{name}": tensor for name, tensor in bench.items()}, folder / "effnb4_best.pth")
    torch.save(published_state(vectors, "fiqa", seed_of(vectors / "fiqa_forward.npz")), folder / "fiqa.pth")
    return folder


@pytest.fixture(scope="module")
def imported(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("imported") / "weights"
    assert import_weights.main([*map(str, sorted(files.iterdir())), "--out", str(out)]) == 0
    return out


def test_the_command_line_knows_every_kind() -> None:
    known = import_weights.KINDS
    assert known == ("auto", *KINDS)


def images(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "expected", "size"),
    [("fpg", "detector_forward", 380), ("sbi", "sbi_forward", 380), ("effnb4_best", "deepfakebench_forward", 256)],
)
def test_an_imported_detector_answers_as_published(imported: Path, vectors: Path, name: str, expected: str, size: int) -> None:
    """The answers of deepfakebench_forward.npz are those of efficientnet_pytorch 0.7.1 put together as the benchmark puts it together."""
    answers = np.load((DATA if "bench" in expected else vectors) / f"{expected}.npz")
    engine = load_engine(imported / f"{name}.safetensors", device="cpu")
    assert engine.spec.image_size == size
    output = engine(images(int(answers["seed"]), 2, 3, size, size))
    assert relative(output.logits, answers["logits"]) < 1e-3
    if "head_map_mean" in answers:
        model = load_detector(imported / f"{name}.safetensors")[0]
        with torch.no_grad():
            p = model.backbone.pre_pooling(model.last_block(torch.from_numpy(images(int(answers["seed"]), 2, 3, size, size))))
        assert relative(p.mean(1), answers["head_map_mean"]) < 1e-3


def test_what_a_foreign_model_expects_is_recorded_and_said(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.safetensors"
    assert import_weights.main([str(files / "effnb4_best.pth"), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}  DeepfakeBench EfficientNet-B4\n"
    assert "every key fits" in told.err
    assert "trained on faces aligned by five landmarks" in told.err
    model, spec = load_detector(out)
    assert (model.config.mean, model.config.std, model.config.image_size) == ((0.5,) * 3, (0.5,) * 3, 256)
    assert (spec.image_size, spec.labels) == (256, ("real", "fake"))
    assert spec.provenance["imported"]["file"] == "effnb4_best.pth"
    assert "aligned by five landmarks" in spec.provenance["preprocessing"]


@pytest.mark.slow
def test_an_imported_detector_is_exported(imported: Path, tmp_path: Path) -> None:
    source = imported / "effnb4_best.safetensors"
    assert export.main([str(source), "--to", "openvino", "-o", str(tmp_path), "--name", "bench"]) == 0
    x = images(3, 1, 3, 256, 256)
    engine = load_engine(tmp_path / "bench.xml", device="cpu")
    assert relative(engine(x).logits, load_engine(source, device="cpu")(x).logits) < 1e-3


def test_an_imported_detector_judges_and_is_evaluated(imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in (detect, evaluate):
        monkeypatch.setattr(program, "default_analyzer", makers.ColourAnalyzer)
    for label in ("real", "fake"):
        (tmp_path / "test" / label).mkdir(parents=True)
        makers.write_video(tmp_path / "test" / label / "a.mp4", 4, seed=len(label))
    source = str(imported / "effnb4_best.safetensors")
    assert detect.main([source, str(tmp_path / "test"), "--frames", "2", "--json", str(tmp_path / "detect.json")]) == 0
    judged = json.loads((tmp_path / "detect.json").read_text())
    assert judged["model"]["provenance"]["method"] == "DeepfakeBench EfficientNet-B4"
    scores = [result["score"] for result in judged["results"]]
    assert len(scores) == 2
    assert evaluate.main([source, "--data", str(tmp_path / "test"), "--frames", "2", "--json", str(tmp_path / "metrics.json")]) == 0
    evaluation = json.loads((tmp_path / "metrics.json").read_text())
    assert sorted(video["score"] for video in evaluation["per_video"]) == pytest.approx(sorted(scores), abs=1e-6)
    assert evaluation["model"]["sha256"] == load_detector(source)[1].files["effnb4_best.safetensors"]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_quality_network_is_what_training_takes(files: Path, imported: Path, vectors: Path, suffix: str) -> None:
    expected = np.load(vectors / "fiqa_forward.npz")
    target = quality_target(str((files if suffix == ".pth" else imported) / f"fiqa{suffix}"), torch.device("cpu"))
    scores = target(torch.from_numpy(images(int(expected["seed"]) + 1, 3, 3, 200, 180)))
    assert relative(scores * 50, expected["quality"][:, 0]) < 1e-3
    assert not (imported / "fiqa.spec.json").exists()


def test_bad_files_are_named_and_the_others_go_on(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "page.pth").write_text("\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>")
    (bad / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    (bad / "cut.pth").write_bytes((files / "fiqa.pth").read_bytes()[:100_000])
    torch.save({"conv1.weight": torch.zeros(2)}, bad / "resnet.pth")
    torch.save(Fiqa(), bad / "pickle.pth")
    names = [*sorted(bad.iterdir()), bad, tmp_path / "absent.tar", files / "fiqa.pth"]
    assert import_weights.main([*map(str, names), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    reasons = {
        "cut.pth": "is not a readable checkpoint",
        "page.pth": "it is a web page",
        "pickle.pth": "refused: the file holds code or objects",
        "pointer.pth": "it is a pointer of Git LFS",
        "resnet.pth": "holds none of the published networks",
        "bad": "holds no config.json",
        "absent.tar": "no such file",
    }
    assert len(errors) == len(reasons)
    for line, (name, reason) in zip(errors, reasons.items(), strict=True):
        assert name in line.split(": ")[1]
        assert reason in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fiqa.safetensors"]
    assert told.out == f"{tmp_path / 'out' / 'fiqa.safetensors'}  SDD-FIQA (CVPR 2021)\n"


def test_missing_and_extra_keys(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = read_state(files / "sbi.tar")
    lacking = {name: tensor for name, tensor in state.items() if "_blocks.9." not in name and "num_batches" not in name}
    torch.save({"net": {**lacking, "ema.decay": torch.zeros(1)}}, tmp_path / "a.pth")
    gone = [name for name in state if "_blocks.9." in name and "num_batches" not in name]
    assert import_weights.main([str(tmp_path / "a.pth")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    counters = sum("num_batches" in name for name in state)
    assert f"a.pth: does not fit the network of SBI (CVPR 2022): {len(gone) + counters} missing (" in line
    assert line.endswith("1 extra (ema.decay)")
    assert not (tmp_path / "a.safetensors").exists()

    assert import_weights.main([str(tmp_path / "a.pth"), "--verbose"]) == 1
    told = capsys.readouterr().err
    assert all(f"  missing: {name}\n" in told for name in gone)
    assert "  extra: ema.decay\n" in told

    assert import_weights.main([str(tmp_path / "a.pth"), "--allow-missing"]) == 0
    ours = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert torch.equal(ours["classifier.weight"], state["net._fc.weight"])
    layout = next(layout for layout in LAYOUTS if layout.kind == "sbi")
    model = layout.build()
    names = layout.names(model)
    assert all(torch.equal(ours[names[name]], model.state_dict()[names[name]]) for name in gone)  # numbers of a fixed seed
    assert set(gone) < set(json.loads((tmp_path / "a.spec.json").read_text())["provenance"]["imported"]["missing"])


def test_other_shapes_are_named_with_both(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = read_state(files / "fiqa.pth") | {"quality.3.weight": torch.zeros(1, 7)}
    torch.save(state, tmp_path / "a.pth")
    assert import_weights.main([str(tmp_path / "a.pth"), "--allow-missing"]) == 1
    assert "a.pth: does not fit the network of SDD-FIQA (CVPR 2021): 1 of another shape (quality.3.weight [1, 7] != [1, 25088])" in (
        capsys.readouterr().err
    )


def test_a_bare_network_and_a_given_kind(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = {name.removeprefix("net."): tensor for name, tensor in read_state(files / "sbi.tar").items()}
    torch.save({"state_dict": state}, tmp_path / "bare.pth")
    assert import_weights.main([str(tmp_path / "bare.pth")]) == 0
    told = capsys.readouterr().err
    assert "is assumed: the file does not say" in told
    ours = safetensors.torch.load_file(tmp_path / "bare.safetensors")
    assert torch.equal(ours["classifier.weight"], state["_fc.weight"])
    assert import_weights.main([str(tmp_path / "bare.pth"), "--kind", "fpg", "--allow-missing"]) == 0  # only its _fc fits
    assert " missing (net._conv_stem.weight, " in capsys.readouterr().err
    assert import_weights.main([str(tmp_path / "bare.pth"), "--kind", "fiqa", "--allow-missing"]) == 1
    assert "has no tensor of the network of SDD-FIQA" in capsys.readouterr().err


def test_a_detector_of_fpg_needs_no_import(imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = imported / "sbi.safetensors"
    assert import_weights.main([str(source), "--out", str(tmp_path)]) == 1
    assert "holds a detector of fpg already" in capsys.readouterr().err
    before = source.read_bytes()
    assert import_weights.main([str(source)]) == 1
    assert "the result would overwrite it" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_numbers_that_are_none(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = read_state(files / "effnb4_best.pth")
    state["backbone.last_layer.bias"] = torch.full((2,), torch.nan)
    torch.save(state, tmp_path / "nan.pth")
    assert import_weights.main([str(tmp_path / "nan.pth")]) == 1
    assert "nan.pth: cannot be used: logits: expected finite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["nan.pth"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.pth", "b.pth", "--out", "c.safetensors"], "is one file, for 2 inputs"),
        (["x/a.pth", "y/a.tar", "--out", "out"], "would both become"),
        (["a.pth", "--kind", "resnet"], "invalid choice"),
        ([""], "got an empty name"),
        ([], "required"),
        (["a.pth", "--out", "taken"], "expected a folder or a .safetensors file, got taken"),
    ],
)
def test_wrong_usage(
    arguments: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    try:
        code = import_weights.main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
