"""Triton model repositories: parsed with Triton's own schema, files where it looks for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from detectors import lively_detector

from fpg.cli.export import main
from fpg.common.errors import InputError, UsageError
from fpg.common.files import sha256
from fpg.common.spec import EngineSpec, read_spec, sidecar
from fpg.export.triton import configuration, write_repository
from fpg.models.config import DetectorConfig
from fpg.models.detector import save_detector

schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="Triton's schema comes with tritonclient")
text_format = pytest.importorskip("google.protobuf.text_format")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    save_detector(
        path, lively_detector(DetectorConfig(backbone="tf_efficientnet_lite0", image_size=64, quality_width=16, attention_width=16))
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("to", "files", "backend"), [("onnx", ["model.onnx"], "onnxruntime"), ("openvino", ["model.bin", "model.xml"], "openvino")]
)
def test_a_repository_with_the_model(checkpoint: Path, tmp_path: Path, to: str, files: list[str], backend: str) -> None:
    command = [str(checkpoint), "--to", to, "-o", str(tmp_path / "engines"), "--triton", str(tmp_path / "models"), "--name", "detector"]
    assert main(command) == 0
    folder = tmp_path / "models" / "detector"
    assert sorted(p.name for p in (folder / "1").iterdir()) == files
    assert sorted(p.name for p in folder.iterdir()) == ["1", "config.pbtxt", "labels.txt", "spec.json"]
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["README.md", "detector"]
    model = next((tmp_path / "engines").glob("detector.[ox]*"))
    spec = read_spec(model)
    assert sha256(folder / "1" / files[-1]) == spec.files[model.name]
    config = text_format.Parse((folder / "config.pbtxt").read_text(), schema.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("detector", backend, 32)
    assert [(i.name, i.data_type, list(i.dims)) for i in config.input] == [("images", schema.TYPE_FP32, [3, 64, 64])]
    assert [(o.name, list(o.dims)) for o in config.output] == [("logits", [2]), ("activation_map", list(spec.map_size))]
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 16, 32]
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    assert [w.batch_size for w in config.model_warmup] == [1, 8, 16, 32]
    assert config.model_warmup[0].inputs["images"].random_data
    assert config.version_policy.latest.num_versions == 1
    assert (folder / "labels.txt").read_text().split() == ["real", "fake"]

    assert main([str(model), "--triton", str(tmp_path / "models")]) == 0  # an exported model, again: replaced
    assert sorted(p.name for p in (tmp_path / "models" / "detector" / "1").iterdir()) == files


def engine_spec(**changes: object) -> EngineSpec:
    values = {
        "backend": "tensorrt",
        "model_file": "m.engine",
        "files": {"m.engine": "0"},
        "detector": {},
        "image_size": 380,
        "map_size": (12, 12),
    }
    return EngineSpec(**{**values, "batch": (1, 1, 8), "build": {"batches": [1, 4, 8]}, **changes})  # type: ignore[arg-type]


def test_a_plan_runs_on_the_gpu_in_its_buckets() -> None:
    config = text_format.Parse(configuration(engine_spec(), "x"), schema.ModelConfig())
    assert (config.backend, config.max_batch_size, config.instance_group[0].kind) == ("tensorrt", 8, schema.ModelInstanceGroup.KIND_GPU)
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]


def test_what_triton_cannot_run_and_what_is_not_as_its_sidecar_says(tmp_path: Path, checkpoint: Path) -> None:
    model = tmp_path / "m.engine"
    model.write_bytes(b"plan")
    spec = engine_spec(files={"m.engine": sha256(model)})
    dataclasses.replace(spec, backend="tensorrt-rtx").write(sidecar(model))
    with pytest.raises(UsageError, match="Triton has no backend for tensorrt-rtx"):
        write_repository(model, tmp_path / "models")
    spec.write(sidecar(model))
    assert [p.name for p in (write_repository(model, tmp_path / "models") / "1").iterdir()] == ["model.plan"]
    model.write_bytes(b"other")
    with pytest.raises(InputError, match="does not match its sidecar"):
        write_repository(model, tmp_path / "models")
    (tmp_path / "models" / "papers").mkdir()
    spec = dataclasses.replace(spec, files={"m.engine": sha256(model)})
    spec.write(sidecar(model))
    with pytest.raises(UsageError, match="papers is there and holds no Triton model"):
        write_repository(model, tmp_path / "models", "papers")
    dataclasses.replace(spec, network="face-detector").write(sidecar(model))
    with pytest.raises(UsageError, match=r"m\.engine is a face-detector"):
        write_repository(model, tmp_path / "models")
    with pytest.raises(UsageError, match="Triton has no backend for torch"):
        write_repository(checkpoint, tmp_path / "models")
