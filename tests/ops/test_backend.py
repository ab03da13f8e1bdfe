"""The choice between kernels and reference: stated, logged once, never a silent fallback."""

from __future__ import annotations

import logging
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from fpg.common import native as compiled
from fpg.common.errors import MissingDependencyError, UsageError
from fpg.ops import backend as module
from fpg.ops.backend import backend, native, native_built, native_module
from fpg.ops.perception import perception_statistics


@pytest.fixture(autouse=True)
def fresh_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    module.choose_backend.cache_clear()
    native_module.cache_clear()
    monkeypatch.delenv("FPG_BACKEND", raising=False)


def without_module(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in (module, compiled):
        monkeypatch.setattr(user, "native_built", lambda: False)


def test_reference_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "reference")
    assert backend() == "reference"


def test_unknown_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "fast")
    with pytest.raises(UsageError, match="FPG_BACKEND: expected one of auto, native, reference, got 'fast'"):
        backend()


def test_auto_without_module_takes_the_reference_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_module(monkeypatch)
    with caplog.at_level(logging.INFO, "fpg.ops"):
        assert [backend(), backend(), backend()] == ["reference"] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "fpg._C is not built" in caplog.text


def test_native_without_module_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    without_module(monkeypatch)
    monkeypatch.setenv("FPG_BACKEND", "native")
    with pytest.raises(MissingDependencyError, match=r"fpg\._C is not built: run `pip install"):
        perception_statistics(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2))


def test_module_that_does_not_load_is_an_error_even_for_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError("undefined symbol")

    for user in (module, compiled):
        monkeypatch.setattr(user, "native_built", lambda: True)
    monkeypatch.setattr(compiled.importlib, "import_module", fail)
    with pytest.raises(MissingDependencyError, match="does not load"):
        backend()


@pytest.mark.skipif(not native_built(), reason="fpg._C is not built")
def test_module_of_another_interface_asks_for_a_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "_C.pyi"
    other.write_bytes(compiled.STUB.read_bytes() + b"def added() -> None: ...\n")
    monkeypatch.setattr(compiled, "STUB", other)
    native_module.cache_clear()
    try:
        with pytest.raises(MissingDependencyError, match=r"built from other sources .* again"):
            native_module()
    finally:
        native_module.cache_clear()


@pytest.mark.skipif(not native_built(), reason="fpg._C is not built")
def test_devices_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend("cpu") == "native"
    assert backend("cuda") == ("native" if native.build_info().cuda else "reference")
    assert backend("mps") == "reference"
    monkeypatch.setenv("FPG_BACKEND", "native")
    with pytest.raises(MissingDependencyError, match="no kernels for mps"):
        backend("mps")


@pytest.mark.skipif(not native_built(), reason="fpg._C is not built")
def test_module_loads_without_torch_and_without_a_driver() -> None:
    code = """
import sys
from fpg import _C

devices, reason = _C.cuda_status()
assert (devices > 0) == (reason == "")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(not native_built(), reason="fpg._C is not built")
def test_the_stub_is_that_of_the_module() -> None:
    script = Path(__file__).parents[2] / "scripts" / "make_stub.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_older_than_the_kernels_is_named(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "native_built", lambda: True)
    built = types.SimpleNamespace(cuda=True, cuda_architectures=["80", "90-real", "120-virtual"])
    monkeypatch.setattr(compiled, "native_module", lambda: types.SimpleNamespace(build_info=lambda: built))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with caplog.at_level(logging.WARNING, "fpg.ops"):
        assert backend("cuda") == ("native" if native else "reference")
    assert ("Tesla T4 is an sm_75, and fpg's kernels were compiled for sm_80 and later" in caplog.text) != native
    if not native:
        monkeypatch.setenv("FPG_BACKEND", "native")
        with pytest.raises(MissingDependencyError, match="FPG_BACKEND=native: Tesla T4"):
            backend("cuda")
