"""Jobs in SQLite: the one place that knows what was promised. One server at a time writes to it.

A job waits, runs and ends. What becomes of it and its answer are one transaction, so that a process that is killed at any moment leaves a
job that has ended with its answer, or one that begins again. Every change of state has a line in `log`.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpg.common.errors import SetupError
from fpg.serve.job import ENDED, FETCHING, RUNNING, WAITING, JobRequest

VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  key TEXT UNIQUE,
  state TEXT NOT NULL,
  passing INTEGER NOT NULL,
  name TEXT NOT NULL,
  url TEXT,
  file TEXT,
  bytes INTEGER NOT NULL,
  wishes TEXT NOT NULL,
  created REAL NOT NULL,
  started REAL,
  ended REAL,
  deaths INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  error_code TEXT,
  answer TEXT
);
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE TABLE log (id TEXT NOT NULL, at REAL NOT NULL, state TEXT NOT NULL);
CREATE INDEX log_by_id ON log (id);
"""
_COLUMNS = "number, id, state, passing, name, url, file, bytes, wishes, created, started, ended, deaths, error, error_code"


@dataclass(frozen=True)
class JobRow:
    """A row, without its answer."""

    number: int
    """Order of arrival."""
    id: str
    state: str
    passing: bool
    """Somebody waits for the answer on an open connection; worth nothing without."""
    name: str
    """As it was uploaded."""
    url: str | None
    """Where it is to be fetched from, or was."""
    file: str | None
    """Name of the input in the job's folder."""
    bytes: int
    request: JobRequest
    created: float
    """Seconds since 1970, as the others."""
    started: float | None = None
    ended: float | None = None
    deaths: int = 0
    """Worker processes that died while they worked on it."""
    error: str | None = None
    error_code: str | None = None


class Store:
    """May be shared by threads; every method is one transaction.

    Args:
        path: of the database; made if it is not there.

    Raises:
        SetupError: it cannot be opened, or is another version's.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # an answered promise survives a power failure
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
                version = VERSION
        except sqlite3.Error as error:
            raise SetupError(f"{path}: cannot be used as the list of jobs: {error}") from error
        if version != VERSION:
            raise SetupError(f"{path}: the list of jobs is of version {version}, expected {VERSION}; name another --spool")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def add(self, job: JobRow, key: str | None, most: int | None) -> JobRow | None:
        """Promise a job.

        Args:
            job: its `number` is given here.
            key: hash of the request's idempotency key; a job that has it already is the answer.
            most: jobs that may wait.

        Returns:
            The job with its number; None when `most` wait already.
        """
        with self._change() as db:
            if key is not None and (known := self._one(db, "key = ?", key)):
                return known
            (waiting,) = db.execute("SELECT count(*) FROM jobs WHERE state IN (?, ?)", (WAITING, FETCHING)).fetchone()
            if most is not None and waiting >= most:
                return None
            request = json.dumps(job.request.to_json())
            row = (job.id, key, job.state, job.passing, job.name, job.url, job.file, job.bytes, request, job.created)
            columns = "id, key, state, passing, name, url, file, bytes, wishes, created"
            db.execute(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
            self._note(db, job.id, job.state)
            return self._one(db, "id = ?", job.id)

    def by_key(self, key: str) -> JobRow | None:
        """The job that was promised for an idempotency key."""
        with self._lock:
            return self._one(self._db, "key = ?", key)

    def get(self, id: str) -> JobRow | None:
        """A job."""
        with self._lock:
            return self._one(self._db, "id = ?", id)

    def answer(self, id: str) -> dict[str, Any] | None:
        """What was found, once it has ended."""
        with self._lock:
            row = self._db.execute("SELECT answer FROM jobs WHERE id = ?", (id,)).fetchone()
        return json.loads(row[0]) if row and row[0] else None

    def ahead(self, job: JobRow) -> int:
        """Jobs that wait and came before it."""
        with self._lock:
            query = "SELECT count(*) FROM jobs WHERE state IN (?, ?) AND number < ?"
            (count,) = self._db.execute(query, (WAITING, FETCHING, job.number)).fetchone()
        return int(count)

    def counts(self) -> dict[str, int]:
        """State -> number of jobs."""
        with self._lock:
            return dict(self._db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())

    def first_waiting(self) -> JobRow | None:
        """The next job to run."""
        with self._lock:
            return self._one(self._db, "state = ? ORDER BY number LIMIT 1", WAITING)

    def in_state(self, *states: str) -> list[JobRow]:
        """All jobs in these states, in order of arrival."""
        with self._lock:
            marks = ", ".join("?" * len(states))
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE state IN ({marks}) ORDER BY number", states).fetchall()
        return [_job(row) for row in rows]

    def ids(self) -> set[str]:
        """Of all jobs."""
        with self._lock:
            return {id for (id,) in self._db.execute("SELECT id FROM jobs")}

    def fetched(self, id: str, file: str, size: int) -> bool:
        """The file of a URL has come: the job waits now. False when it was cancelled meanwhile."""
        return self._move(id, (FETCHING,), WAITING, file=file, bytes=size)

    def begin(self, id: str) -> bool:
        """A waiting job runs; False when it does not wait any more."""
        return self._move(id, (WAITING,), RUNNING, started=time.time())

    def put_back(self, id: str, *, died: bool) -> bool:
        """A running job waits again, in its old place; `died`: its worker did."""
        job = self.get(id)
        return job is not None and self._move(id, (RUNNING,), WAITING, started=None, deaths=job.deaths + died)

    def end(self, id: str, state: str, answer: dict[str, Any] | None, error: str | None = None, code: str | None = None) -> bool:
        """A job ends, once: False when it had, or is gone.

        Args:
            id: of the job.
            state: one of `ENDED`.
            answer: the document.
            error, code: why there is no score.
        """
        text = None if answer is None else json.dumps(answer, ensure_ascii=False, allow_nan=False)
        return self._move(id, (FETCHING, WAITING, RUNNING), state, ended=time.time(), answer=text, error=error, error_code=code)

    def recover(self) -> int:
        """After a start: what ran waits again; what somebody waited for on a connection is dropped. How many ran."""
        with self._change() as db:
            db.execute("DELETE FROM jobs WHERE passing")
            ran = [id for (id,) in db.execute("SELECT id FROM jobs WHERE state = ?", (RUNNING,))]
            db.execute("UPDATE jobs SET state = ?, started = NULL WHERE state = ?", (WAITING, RUNNING))
            for id in ran:
                self._note(db, id, WAITING)
        return len(ran)

    def forget(self, ids: Iterable[str]) -> None:
        """Remove jobs and what became of them."""
        with self._change() as db:
            for id in ids:
                db.execute("DELETE FROM jobs WHERE id = ?", (id,))
                db.execute("DELETE FROM log WHERE id = ?", (id,))

    def expired(self, before: float) -> list[str]:
        """Jobs that ended before that time."""
        with self._lock:
            marks = ", ".join("?" * len(ENDED))
            return [id for (id,) in self._db.execute(f"SELECT id FROM jobs WHERE state IN ({marks}) AND ended < ?", (*ENDED, before))]

    def history(self, id: str) -> list[str]:
        """The states that a job was in, in order."""
        with self._lock:
            return [state for (state,) in self._db.execute("SELECT state FROM log WHERE id = ? ORDER BY rowid", (id,))]

    def _move(self, id: str, before: tuple[str, ...], after: str, **columns: Any) -> bool:
        marks = ", ".join("?" * len(before))
        names = ", ".join(f"{name} = ?" for name in ("state", *columns))
        with self._change() as db:
            values = (after, *columns.values(), id, *before)
            moved = db.execute(f"UPDATE jobs SET {names} WHERE id = ? AND state IN ({marks})", values).rowcount
            if moved:
                self._note(db, id, after)
        return bool(moved)

    @staticmethod
    def _note(db: sqlite3.Connection, id: str, state: str) -> None:
        db.execute("INSERT INTO log (id, at, state) VALUES (?, ?, ?)", (id, time.time(), state))

    @staticmethod
    def _one(db: sqlite3.Connection, where: str, *values: Any) -> JobRow | None:
        row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE {where}", values).fetchone()
        return _job(row) if row else None

    def _change(self) -> _Transaction:
        return _Transaction(self._lock, self._db)


class _Transaction:
    def __init__(self, lock: threading.Lock, db: sqlite3.Connection) -> None:
        self._lock, self._db = lock, db

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        return self._db

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._db.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self._lock.release()


def _job(row: tuple[Any, ...]) -> JobRow:
    number, id, state, passing, name, url, file, size, request, *rest = row
    return JobRow(number, id, state, bool(passing), name, url, file, size, JobRequest.from_json(json.loads(request)), *rest)
