"""Jobs over HTTP: submitted, followed, judged, cancelled, forgotten; what costs a worker its life costs one job."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from obedient import load
from serving import Running, form, serving

from fpg.client import Client, ServerError
from fpg.common.errors import SetupError
from fpg.serve.confine import Limits
from fpg.serve.spool import JobSpool


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("spool") / "spool") as running:
        yield running


def test_a_job_from_upload_to_answer(server: Running, tmp_path: Path, rng: np.random.Generator) -> None:
    content = b"sleep 0.01\n" + rng.bytes(300_000)
    path = tmp_path / 'näme "x".mp4'
    path.write_bytes(content)
    job = server.client.submit(path)
    assert (job["state"], job["name"], job["bytes"]) == ("waiting", path.name.replace('"', "%22"), len(content))
    ended = server.client.wait(job["id"], every_s=0.02)
    assert ended["state"] == "done"
    assert ended["result"]["results"][0]["score"] == 0.25
    assert ended["result"] == json.loads(server.client.output(job["id"], "record"))
    assert server.service.store.history(job["id"]) == ["waiting", "running", "done"]
    assert not list(server.service.spool.path(job["id"]).iterdir())  # what was judged is not kept
    server.client.cancel(job["id"])
    with pytest.raises(ServerError, match="no such job") as error:
        server.client.job(job["id"])
    assert (error.value.status, error.value.code) == (404, "not_found")


def test_judge_answers_at_once_and_keeps_nothing(server: Running) -> None:
    before = server.service.store.ids()
    answer, body = server.request("POST", "/v1/judge", *form(b"sleep 0.01"))
    assert answer.status == 200
    assert json.loads(body)["results"][0]["input"] == "a.mp4"
    assert server.service.store.ids() == before
    assert {path.name for path in (server.settings.spool / "files").iterdir()} == before


def test_events_tell_states_and_progress_and_end(server: Running, tmp_path: Path) -> None:
    id = server.obey(tmp_path, "sleep 0.3;sleep 0.3;sleep 0.3")
    events = list(server.client.events(id))
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "state"
    assert kinds[-1] == "end"
    assert events[-1][1]["state"] == "done"
    assert {"stage": "judging", "frames": 2, "total": 3, "score": None} in [value for kind, value in events if kind == "progress"]
    assert [kind for kind, _ in server.client.events(id)] == ["end"]  # again, after its end


def test_the_same_key_is_the_same_job(server: Running) -> None:
    body, headers = form(b"sleep 0")
    key = {"Idempotency-Key": os.urandom(16).hex()}
    jobs = [json.loads(server.request("POST", "/v1/jobs", body, headers | key)[1])["id"] for _ in range(3)]
    assert len(set(jobs)) == 1
    assert json.loads(server.request("POST", "/v1/jobs", body, headers)[1])["id"] != jobs[0]
    answer, _ = server.request("POST", "/v1/jobs", body, headers | {"Idempotency-Key": "guess me"})
    assert answer.status == 422


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"frames": "0"}, "frames: expected a whole number"),
        ({"frames": "many"}, "frames: expected a whole number"),
        ({"frames": "3", "every": "2"}, "give one of them"),
        ({"threshold": "1.5"}, "threshold: expected a number"),
        ({"threshold": "nan"}, "threshold: expected a number"),
        ({"outputs": "report,shell"}, "outputs: expected some of"),
        ({"colour": "red"}, "colour: there is no such option"),
    ],
)
def test_wrong_options_are_one_line(server: Running, fields: dict[str, str], reason: str) -> None:
    answer, body = server.request("POST", "/v1/jobs", *form(b"sleep 0", **fields))
    said = json.loads(body)
    assert (answer.status, said["code"]) == (422, "invalid")
    assert reason in said["error"]
    assert "\n" not in said["error"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"sleep 0", "video/mp4"),
        (b"--b\r\n", "multipart/form-data; boundary=b"),
        (b"nonsense", "multipart/form-data; boundary=b"),
        (form(b"x")[0][:-10], "multipart/form-data; boundary=b"),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--b--\r\n', "multipart/form-data; boundary=b"),
        (form(b"x")[0][:-7] + b"\r\n" + form(b"y")[0], "multipart/form-data; boundary=b"),
        (b"[1]", "application/json"),
        (b"{", "application/json"),
        (b"[" * 10_000, "application/json"),
    ],
)
def test_bodies_that_are_no_upload_are_refused_and_leave_nothing(server: Running, body: bytes, kind: str) -> None:
    answer, said = server.request("POST", "/v1/jobs", body, {"Content-Type": kind})
    assert (answer.status, json.loads(said)["code"]) == (422, "invalid")
    assert {path.name for path in (server.settings.spool / "files").iterdir()} <= server.service.store.ids()


def test_cancel_a_running_job_and_one_that_waits(server: Running, tmp_path: Path) -> None:
    first, second = server.obey(tmp_path, "sleep 60"), server.obey(tmp_path, "sleep 60")
    last = server.obey(tmp_path, "sleep 0")
    for id in (last, first, second):
        server.client.cancel(id)
        assert server.client.job(id)["state"] == "cancelled"
    assert server.client.wait(server.obey(tmp_path, "sleep 0"), 30, 0.02)["state"] == "done"  # the slots are free again


def test_a_worker_that_dies_costs_its_job_alone(server: Running, tmp_path: Path) -> None:
    others = [server.obey(tmp_path, "sleep 0.2") for _ in range(2)]
    guilty = server.obey(tmp_path, "sleep 0.05;die")
    others += [server.obey(tmp_path, "sleep 0.2") for _ in range(3)]
    ended = server.client.wait(guilty, 120, 0.05)
    assert (ended["state"], ended["error_code"]) == ("failed", "worker")
    assert "exit code 3" in ended["error"]
    assert ended["result"]["results"][0]["error_code"] == "worker"
    assert server.service.store.history(guilty).count("running") == 2  # among others, then by itself
    assert [server.client.wait(id, 120, 0.05)["state"] for id in others] == ["done"] * 5


def test_a_worker_that_is_killed_once_costs_nothing(server: Running, tmp_path: Path) -> None:
    id = server.obey(tmp_path, f"die-once {tmp_path / 'mark'}")
    assert server.client.wait(id, 120, 0.05)["state"] == "done"
    id = server.obey(tmp_path, "sleep 3")
    while server.client.job(id)["state"] != "running":
        time.sleep(0.02)
    os.kill(server.workers.pids[0], signal.SIGKILL)
    assert server.client.wait(id, 120, 0.05)["state"] == "done"


def test_an_error_of_the_judge_is_an_answer(server: Running, tmp_path: Path) -> None:
    ended = server.client.wait(server.obey(tmp_path, "raise a wheel came off"), 60, 0.02)
    assert (ended["state"], ended["error_code"], ended["error"]) == ("failed", "internal", "unexpected ValueError: a wheel came off")


def test_a_job_that_hangs_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", timeout=4) as server:
        stuck, other = server.obey(tmp_path, "hang"), server.obey(tmp_path, "sleep 0.2")
        ended = server.client.wait(stuck, 60, 0.05)
        assert (ended["state"], ended["error_code"]) == ("failed", "timeout")
        assert server.client.wait(other, 60, 0.05)["state"] == "done"
        assert server.client.wait(server.obey(tmp_path, "sleep 0.1"), 60, 0.05)["state"] == "done"


def test_more_jobs_than_may_wait_are_told_when_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", queue=3, slots=1) as server:
        running = server.obey(tmp_path, "sleep 60")
        while server.client.job(running)["state"] != "running":
            time.sleep(0.02)
        waiting = [server.obey(tmp_path, "sleep 0") for _ in range(3)]
        answer, said = server.request("POST", "/v1/jobs", *form(b"sleep 0"))
        assert (answer.status, json.loads(said)["code"]) == (429, "queue_full")
        assert int(answer.headers["Retry-After"]) >= 1
        assert [server.client.job(id)["ahead"] for id in waiting] == [0, 1, 2]
        server.client.cancel(running)
        patient = Client(server.address, patience_s=60)
        assert patient.judge(tmp_path / "orders.mp4")["results"][0]["score"] == 0.25


def test_an_upload_that_was_received_takes_one_place_of_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "spool", setup=None, queue=3) as server, ThreadPoolExecutor(3) as pool:
        settled = threading.Event()
        settle = server.service.spool.settle
        monkeypatch.setattr(server.service.spool, "settle", lambda id: (settled.wait(30), settle(id)))
        answers = []
        for number in range(1, 4):  # each is a job before the upload before it has been settled
            answers.append(pool.submit(server.request, "POST", "/v1/jobs", *form(b"")))
            while len(server.service.store.ids()) < number and not answers[-1].done():
                time.sleep(0.02)
        settled.set()
        assert [answer.result()[0].status for answer in answers] == [202] * 3


def test_a_server_that_ends_puts_running_jobs_back(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", grace_s=0.5) as server:
        id = server.obey(tmp_path, "sleep 3")
        while server.client.job(id)["state"] != "running":
            time.sleep(0.02)
    with serving(tmp_path / "spool") as server:
        assert server.client.wait(id, 60, 0.05)["state"] == "done"
        assert server.service.store.history(id) == ["waiting", "running", "waiting", "running", "done"]


def test_a_server_that_ends_lets_running_jobs_finish(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", grace_s=30) as server:
        id = server.obey(tmp_path, "sleep 1")
        while server.client.job(id)["state"] != "running":
            time.sleep(0.02)
    with serving(tmp_path / "spool") as server:
        assert server.client.job(id)["state"] == "done"


def test_results_expire_with_their_files(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", keep_s=1) as server:
        id = server.obey(tmp_path, "write 1000", outputs="frames")
        server.client.wait(id, 60, 0.02)
        files = server.settings.spool / "files"
        until = time.monotonic() + 30
        while time.monotonic() < until and (server.service.store.ids() or list(files.iterdir())):
            time.sleep(0.1)
        assert server.service.store.ids() == set()
        assert not list(files.iterdir())
        assert server.service.spool.used == 0


def test_one_server_per_spool(tmp_path: Path) -> None:
    spool = JobSpool(tmp_path / "spool", 1000)
    with pytest.raises(SetupError, match="another server uses this spool"):
        JobSpool(tmp_path / "spool", 1000)
    spool.close()
    JobSpool(tmp_path / "spool", 1000).close()


def broken() -> None:
    raise SetupError("there is no model of that name")


def test_a_detector_that_cannot_be_loaded_ends_the_server(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the server ended"), serving(tmp_path / "spool", broken):
        pass


def test_metrics_and_probes(server: Running, tmp_path: Path) -> None:
    server.client.wait(server.obey(tmp_path, "sleep 0"), 60, 0.02)
    server.request("POST", "/v1/jobs", *form(b"x", frames="0"))
    text = server.request("GET", "/metrics")[1].decode()
    for line in (
        'fpg_jobs_ended_total{error_code="",state="done"}',
        'fpg_refused_total{code="invalid"}',
        'fpg_stage_calls_total{stage="network"}',
        'fpg_http_request_seconds_count{method="POST",route="/v1/jobs",status="202"}',
        "fpg_queue_length 0.0",
    ):
        assert line in text
    assert [server.request("GET", path)[0].status for path in ("/healthz", "/readyz", "/v1/models", "/openapi.json", "/")] == [200] * 5


def test_openapi_describes_what_is_answered(server: Running, tmp_path: Path) -> None:
    import jsonschema

    described = json.loads(server.request("GET", "/openapi.json")[1])
    schemas = {"$defs": described["components"]["schemas"]}
    schemas = json.loads(json.dumps(schemas).replace("#/components/schemas/", "#/$defs/"))
    job = server.client.wait(server.obey(tmp_path, "sleep 0"), 60, 0.02)
    jsonschema.validate(job, schemas | {"$ref": "#/$defs/Job"})
    for name in ("Job", "Document"):
        for example in schemas["$defs"][name]["examples"]:
            jsonschema.validate(example, schemas | {"$ref": f"#/$defs/{name}"})
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description") or operation.get("summary"), (path, method)


def test_limits_can_be_none(tmp_path: Path) -> None:
    with serving(tmp_path / "spool", load, limits=Limits(None, None, None)) as server:
        assert server.client.wait(server.obey(tmp_path, "allocate 1000"), 60, 0.02)["result"]["results"][0]["said"] == ["1000"]
