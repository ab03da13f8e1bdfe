"""The step benchmark's JSON: its cases and what each of them says. Nothing about speed is asserted."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from flops import flops
from step import PARTS, main
from torch import nn

SMALL = ["--backbone", "test_efficientnet", "--size", "64", "--batch", "4", "--rounds", "2", "--threads", "1"]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_json_has_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", *SMALL]) == 0
    result = json.loads(capsys.readouterr().out)
    label = "test_efficientnet at 64"
    names = [f"fpg / plain, {label}", f"released / ours, {label}", f"quality network / fpg step, {label}"]
    assert [case["name"] for case in result["cases"]] == names
    ours, released, quality = result["cases"]
    assert all(case["low"] <= case["ratio"] <= case["high"] for case in result["cases"])
    assert all(case["ratio"] > 0 and case["ms"] > 0 and case["gflops"] > 0 for case in result["cases"])
    assert tuple(ours["shares"]) == PARTS
    assert sum(ours["shares"].values()) == pytest.approx(1)
    assert min(ours["shares"].values()) >= 0
    assert ours["refined_in_shape"] == released["refined_in_shape"] == 1
    # By counting operations: 4 F, 3 F and 8 F, but for the first convolution, whose input needs no gradient in plain steps.
    assert 1.2 < ours["flop_ratio"] < 1.5
    assert 1.7 < released["flop_ratio"] < 2.1
    assert quality["analytic_ms"] > 0
    assert result["backend"] in {"native", "reference"}


def test_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--no-quality"]) == 0
    out = capsys.readouterr().out
    for text in ("fpg / plain, test_efficientnet at 64", "released / ours", "fraction of the step: perception", "coin on"):
        assert text in out
    assert "quality network" not in out


@pytest.mark.parametrize(("options", "reason"), [(["--seconds", "0"], "no time was left for it"), ([], ".")])
def test_a_way_that_cannot_be_gone_here_is_a_row_with_its_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], reason: str
) -> None:
    if torch.cuda.is_available():
        pytest.skip("graphs can be captured here")
    rows = tmp_path / "step.csv"
    assert main([*SMALL, "--no-quality", "--graphs", "--csv", str(rows), *options]) == 0
    with rows.open() as file:
        found = list(csv.DictReader(file))
    names = ["fpg / plain", "released / ours", "fpg / plain"]
    assert [row["name"].split(",")[0] for row in found] == names
    assert found[2]["name"] == "fpg / plain, test_efficientnet at 64, perception as CUDA graphs"
    assert [bool(row["left_out"]) for row in found] == [False, False, True]
    assert re.search(reason, found[2]["left_out"])
    assert "not measured: " in capsys.readouterr().out


@pytest.mark.parametrize("groups", [1, 4])
def test_operations_are_counted_forward_and_backward(groups: int) -> None:
    layer = nn.Conv2d(4, 8, 3, padding=1, groups=groups, bias=False)
    images = torch.rand(2, 4, 5, 6, requires_grad=True)
    forward = 2 * (2 * 8 * 5 * 6) * (9 * 4 // groups)
    assert flops(lambda: layer(images)) == forward
    assert flops(lambda: layer(images).sum().backward()) == 3 * forward
    assert flops(lambda: torch.autograd.grad(layer(images).sum(), images)) == 2 * forward
    a, b = torch.rand(3, 4), torch.rand(4, 5)
    assert flops(lambda: a @ b) == 2 * 3 * 4 * 5
