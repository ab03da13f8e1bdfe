"""A model repository for NVIDIA Triton Inference Server: an exported model where Triton looks for it, and the `config.pbtxt` next to it.

    REPOSITORY/NAME/config.pbtxt, labels.txt, spec.json
    REPOSITORY/NAME/1/model.onnx | model.xml + model.bin | model.plan

The configuration follows `model_config.proto` of Triton; tests parse it with that schema.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fpg.common.errors import InputError, UsageError
from fpg.common.files import atomic_write
from fpg.common.spec import DETECTOR, EngineSpec, read_spec, sidecar

PLATFORMS = {"onnx": ("onnxruntime", "model.onnx"), "openvino": ("openvino", "model.xml"), "tensorrt": ("tensorrt", "model.plan")}
"""Backend of the spec -> Triton's backend, its file name."""
PREFERRED = (8, 16, 32)
"""Batch sizes to wait for where the model takes any."""
QUEUE_DELAY_US = 5000
"""How long a request may wait for others; a twentieth of what a face takes on a CPU, little compared with the time on a network."""


def write_repository(model: str | os.PathLike[str], repository: str | os.PathLike[str], name: str | None = None) -> Path:
    """Put an exported model into a Triton model repository, as version 1.

    Args:
        model: `.onnx`, `.xml` or `.engine` (TensorRT) with its sidecar; its hashes are checked.
        repository: folder; made when missing. A model of that name in it is replaced, whole.
        name: of the model there; default the file's stem.

    Returns:
        The model's folder.

    Raises:
        InputError: the model is not what its sidecar says, or the folder cannot be written; nothing is left half done.
        UsageError: a backend that Triton does not have, a face network, or a folder of that name that is no Triton model.
    """
    model, repository = Path(model), Path(repository)
    spec = read_spec(model)
    if spec.backend not in PLATFORMS:
        raise UsageError(f"--triton: Triton has no backend for {spec.backend}; export to onnx, openvino or tensorrt (on its GPU)")
    if spec.network != DETECTOR:
        raise UsageError(f"--triton: serves the {DETECTOR}, {model.name} is a {spec.network}")
    spec.verify(model.parent)
    name = name or model.stem
    if Path(name).name != name:
        raise UsageError(f"--name: expected a plain name, got {name}")
    target = repository / name
    if target.exists() and not (target / "config.pbtxt").is_file():
        raise UsageError(f"--triton: {target} is there and holds no Triton model; choose another --name")
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".part", dir=repository) as hidden:
            draft = Path(hidden) / name
            (draft / "1").mkdir(parents=True)
            stem = Path(PLATFORMS[spec.backend][1])
            for file in spec.files:
                if spec.backend == "tensorrt" and file != spec.model_file:
                    continue  # the ONNX model that the plan was built from
                place = stem.name if file == spec.model_file else _companion(file, model, stem)
                shutil.copyfile(model.parent / file, draft / "1" / place)
            shutil.copyfile(sidecar(model), draft / "spec.json")
            (draft / "labels.txt").write_text("\n".join(spec.labels) + "\n", encoding="utf-8")
            (draft / "config.pbtxt").write_text(configuration(spec, name), encoding="utf-8")
            if target.exists():
                shutil.rmtree(target)
            os.replace(draft, target)
    except OSError as error:
        raise InputError(target, f"cannot be written: {error.strerror or error}") from error
    if not (repository / "README.md").exists():
        with atomic_write(repository / "README.md", "w") as out:
            out.write(_README)
    return target


def _companion(file: str, model: Path, stem: Path) -> str:
    """Name next to Triton's model file: OpenVINO looks for `model.bin`; an ONNX model names its data file itself."""
    return stem.with_suffix(".bin").name if file == model.with_suffix(".bin").name else file


def configuration(spec: EngineSpec, name: str) -> str:
    """`config.pbtxt`: inputs and outputs, dynamic batching up to the model's largest batch, warm-up, version policy, where it runs."""
    backend, _ = PLATFORMS[spec.backend]
    size = spec.image_size
    largest = spec.batch[2] if spec.batch else PREFERRED[-1]
    buckets = (spec.build or {}).get("batches") or PREFERRED
    preferred = [b for b in buckets if 1 < b <= largest] or [largest]
    kind = "KIND_GPU" if spec.backend == "tensorrt" else "KIND_CPU" if spec.backend == "openvino" else "KIND_AUTO"
    return f"""# fpg's detector: {" and ".join(spec.outputs)} of (real, fake) for each face crop, RGB float32 in [0, 1].
# Probability of fake = softmax(logits / {spec.temperature:g})[1]; fake from {spec.threshold:g} on. spec.json has the whole story.
name: "{name}"
backend: "{backend}"
max_batch_size: {largest}
input [
  {{ name: "images", data_type: TYPE_FP32, dims: [ 3, {size}, {size} ] }}
]
output [
  {{ name: "logits", data_type: TYPE_FP32, dims: [ 2 ], label_filename: "labels.txt" }}{_map_output(spec)}
]
dynamic_batching {{
  preferred_batch_size: [ {", ".join(map(str, preferred))} ]
  max_queue_delay_microseconds: {QUEUE_DELAY_US}
}}
instance_group [
  {{ count: 1, kind: {kind} }}
]
version_policy: {{ latest {{ num_versions: 1 }} }}
model_warmup [
{_warmups(sorted({1, *preferred}), size)}
]
"""


def _map_output(spec: EngineSpec) -> str:
    if spec.map_size is None:
        return ""
    return ',\n  {{ name: "activation_map", data_type: TYPE_FP32, dims: [ {}, {} ] }}'.format(*spec.map_size)


def _warmups(batches: Sequence[int], size: int) -> str:
    images = f'inputs {{ key: "images", value: {{ data_type: TYPE_FP32, dims: [ 3, {size}, {size} ], random_data: true }} }}'
    return ",\n".join(f'  {{ name: "batch {batch}", batch_size: {batch}, {images} }}' for batch in batches)


_README = """# Triton model repository

Start Triton on it (https://github.com/triton-inference-server/server; the container has all backends):

    tritonserver --model-repository=/path/to/this/folder

    curl localhost:8000/v2/health/ready
    curl localhost:8000/v2/models/NAME/config

A request is a batch of face crops, float32 [B, 3, S, S], RGB in [0, 1], cut and resized as fpg does (`fpg.common.crops.face_input`). A
TensorRT plan runs on the GPU and the TensorRT version that it was built with: the container's version has to be that one.
"""
