"""The detector on a Triton server: a stand-in speaks its protocol here, as the server itself cannot be had in tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc", reason="Triton's client is not installed: requirements-triton.txt")

from serving import face_clip, serving
from triton_server import StandIn, triton

from fpg.client import Client
from fpg.common.errors import InputError, UsageError
from fpg.common.models import STARTER, packaged_model
from fpg.common.spec import EngineSpec, read_spec
from fpg.engines import load_engine
from fpg.engines.base import CheckedEngine
from fpg.engines.triton import connect, parse_address
from fpg.serve.confine import Limits
from fpg.serve.judging import Loading

MODEL = packaged_model(STARTER, (".xml",))


@pytest.fixture(scope="module")
def engine() -> CheckedEngine:
    return load_engine(MODEL, device="cpu")


@pytest.fixture
def spec() -> EngineSpec:
    return read_spec(MODEL)


@pytest.fixture
def stand_in(engine: CheckedEngine, spec: EngineSpec) -> StandIn:
    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(spec.outputs, engine.run(images), strict=True))

    return StandIn("starter", spec.image_size, dict(spec.outputs), run)


def test_answers_are_those_of_the_model(engine: CheckedEngine, spec: EngineSpec, stand_in: StandIn, rng: np.random.Generator) -> None:
    images = rng.random((11, 3, spec.image_size, spec.image_size), np.float32)
    with triton(stand_in) as url:
        there = connect(url, spec)
        stand_in.batches.clear()
        for here, other in zip(engine.run(images), there.run(images), strict=True):
            np.testing.assert_allclose(other, here, atol=1e-4)
        assert stand_in.batches == [8, 3]  # no more at a time than the server takes
        assert [len(value) for value in there.run(images[:0])] == [0] * len(spec.outputs)


def test_a_server_that_is_away_for_a_moment_is_waited_for(spec: EngineSpec, stand_in: StandIn, rng: np.random.Generator) -> None:
    with triton(stand_in) as url:
        there = connect(url, spec)
        stand_in.unavailable = 3
        assert there(rng.random((1, 3, spec.image_size, spec.image_size), np.float32)).logits.shape == (1, 2)


def test_what_is_wrong_is_one_line(spec: EngineSpec, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fpg.engines.triton.PATIENCE_S", 1.0)
    with triton(stand_in) as url:
        with pytest.raises(InputError, match="has no model other"):
            connect(url.replace("starter", "other"), spec)
        with pytest.raises(InputError, match="the sidecar says images of"):
            connect(url, replace(spec, image_size=64))
        right = stand_in.run
        stand_in.run = lambda images: right(images) | {"logits": right(images)["logits"][:, ::-1]}
        with pytest.raises(InputError, match="is another model"):
            connect(url, spec)
        stand_in.run = right
        there = connect(url, spec)
        stand_in.largest = 1
        with pytest.raises(InputError, match="batch size must be"):
            there(np.zeros((3, 3, spec.image_size, spec.image_size), np.float32))
    with pytest.raises(InputError, match="does not answer"):
        connect(url, spec)


@pytest.mark.parametrize(
    "url", ["http://host/model", "triton://host", "triton:///model", "triton://me@host/model", "triton://host:x/model"]
)
def test_other_addresses(url: str) -> None:
    with pytest.raises(UsageError, match="expected triton://"):
        parse_address(url)


def test_addresses() -> None:
    assert parse_address("triton://host/m") == ("host:8001", "m", "")
    assert parse_address("triton://[::1]:9/m/3") == ("[::1]:9", "m", "3")


@pytest.mark.slow
def test_a_server_in_front_of_triton(stand_in: StandIn, tmp_path: Path) -> None:
    """The pipeline with faces here and the network there gives what it gives with the network here."""
    clip = face_clip(tmp_path)
    scores = []
    with triton(stand_in) as url:
        for loading in (Loading(slots=2), Loading(slots=2, engine=url)):
            with serving(tmp_path / f"spool-{len(scores)}", loading, limits=Limits(network=loading.engine is not None)) as server:
                answer = Client(server.address, patience_s=60).judge(clip, frames=6)
                scores.append(answer["results"][0]["score"])
        assert len(stand_in.batches) > 1
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
