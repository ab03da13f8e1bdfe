"""Deployment files: against their schemas, and what they name is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fpg.cli.serve import parser

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = [document for document in yaml.safe_load_all((DEPLOY / "kubernetes/fpg-serve.yaml").read_text()) if document]
CONTAINERS = sorted((DEPLOY / "container").glob("Containerfile.*"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_manifests_fit_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    validate.validate(manifest, "1.34", strict=True)


def test_the_pod_is_confined_and_probed() -> None:
    pod = next(manifest for manifest in MANIFESTS if manifest["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert {"cpu", "memory"} == set(container["resources"]["limits"])
    parser().parse_args(container["args"])


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.name)
def test_container_files_name_what_is_there(path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r"/src/(\S+\.sh)|(requirements-\w+\.txt)", text):
        assert (ROOT / name[0]).is_file() if name[0] else (DEPLOY / "container" / name[1]).is_file()
    assert re.search(r"^USER 10001", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK", text, re.MULTILINE)
    entry = re.search(r"^ENTRYPOINT (\[.*\])", text, re.MULTILINE)
    assert entry is not None
    program, *arguments = yaml.safe_load(entry.group(1))
    assert program == "fpg-serve"
    parser().parse_args(arguments)


def test_the_image_for_a_cpu_has_no_torch() -> None:
    names = (DEPLOY / "container/requirements-cpu.txt").read_text().split()
    assert not {"torch", "torchvision", "timm"} & set(names)


def test_the_compose_file() -> None:
    compose = yaml.safe_load((DEPLOY / "container/compose.yaml").read_text())
    service = compose["services"]["fpg"]
    assert service["read_only"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert set(service["secrets"]) == set(compose["secrets"])
    assert (DEPLOY / "container" / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_the_unit() -> None:
    unit = (DEPLOY / "systemd/fpg-serve.service").read_text()
    command = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert command is not None
    program, *arguments = shlex.split(command.group(1))
    assert program.endswith("/fpg-serve")
    parser().parse_args(arguments)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd/fpg-serve.service").read_text().replace("/opt/fpg/bin/fpg-serve", "/bin/true")
    (tmp_path / "fpg-serve.service").write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / "fpg-serve.service")], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "fpg-serve.service" in line]
    assert ours == []
