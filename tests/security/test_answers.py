"""Networks that answer otherwise than their sidecar says, and servers that lead elsewhere."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import makers
import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, face_image, spec
from PIL import Image

from fpg.common.errors import InputError
from fpg.data.video import read_stream
from fpg.engines.base import CheckedEngine, EngineOutput
from fpg.runtime.pipeline import judge


@pytest.mark.parametrize(
    ("logits", "cell", "code"),
    [((0.0, 1.0), 0.0, None), ((0.0, np.inf), 0.0, "model"), ((-np.inf, 1.0), 0.0, "model"), ((0.0, 1.0), np.nan, "model")],
)
def test_an_answer_that_is_not_finite_is_no_score(tmp_path: Path, logits: tuple[float, float], cell: float, code: str | None) -> None:
    """A logit of infinity gave 1.000, and a map of NaN passed."""

    class Odd(BrightnessEngine):
        def __call__(self, images: np.ndarray) -> EngineOutput:
            answer = super().__call__(images)
            answer.activation_map[:, 0, 0] = cell
            return EngineOutput(np.tile(np.float32(logits), (len(images), 1)), answer.activation_map)

    Image.fromarray(face_image(204)).save(tmp_path / "a.png")
    result = judge(tmp_path / "a.png", Odd(), GreenAnalyzer())
    assert (result.error_code, result.score is None) == (code, code is not None)


@pytest.mark.parametrize(("logits", "cells"), [((2,), (4, 5)), ((2,), (4,)), ((3,), (4, 4)), ((1,), (4, 4))])
def test_an_answer_of_another_shape_is_refused(logits: tuple[int, ...], cells: tuple[int, ...]) -> None:
    class Other(CheckedEngine):
        def _run(self, images: np.ndarray) -> list[np.ndarray]:
            return [np.zeros((len(images), *shape), np.float32) for shape in (logits, cells)]

    with pytest.raises(InputError, match="its sidecar says") as caught:
        Other(spec(), "cpu")(np.zeros((2, 3, 16, 16), np.float32))
    assert caught.value.code == "invalid"


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `/away` leads to the video."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/v.ts")
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    makers.write_video(tmp_path / "v.ts", 6, codec="mpeg2video")
    monkeypatch.chdir(tmp_path)
    Server.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_url_is_read_and_leads_nowhere_else(address: str, tmp_path: Path) -> None:
    assert len(list(read_stream(f"{address}/v.ts", 1))) == 6
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "self.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nself.m3u8\n")
    for name in ("away", "list.m3u8", "self.m3u8"):
        Server.asked.clear()
        with pytest.raises(InputError):
            list(read_stream(f"{address}/{name}", 1))
        assert set(Server.asked) == {f"/{name}"}
        assert len(Server.asked) < 4
