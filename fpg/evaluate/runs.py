"""Runs as `fpg-compare` reads them: what `fpg-eval` wrote about their weights, and what their training cost."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from fpg.common.errors import InputError, UsageError
from fpg.common.strict_json import parse_json
from fpg.data.manifest import FAKE, REAL

Key = tuple[str, str, str]
"""(data set, manipulation, video)."""
PATTERNS = ("eval*.json", "metrics*.json")
"""Names of evaluations in a run's folder, and anywhere below it in folders that fpg-train does not write."""
OF_TRAINING = {"checkpoints", "pictures", "profile", "tensorboard", "wandb"}
NOT_OF_RECIPE = {"seed", "out", "data", "device", "workers", "threads", "checkpoint_steps", "log_steps", "tracker", "pictures"}
STATUSES = ("scored", "no_face", "failed")


@dataclass(frozen=True)
class Video:
    """One video as one detector judged it."""

    key: Key
    label: int
    score: float | None
    """Probability of fake; None where the video failed or no face was found."""
    status: str
    error: str | None
    frames: int | None
    """Frames looked at."""
    rule: str
    """How frames became a score: crop and aggregation."""
    compression: str = ""
    """`raw`, `c23` or `c40`; empty where it is not known."""

    @property
    def name(self) -> str:
        """`data set/manipulation/video`, without empty parts."""
        return "/".join(filter(None, self.key))


@dataclass(frozen=True)
class Cost:
    """What training took, as far as it is recorded."""

    images: int | None
    """Images that the network learnt from, two per pair."""
    seconds: float | None
    """Wall time of the training steps, data waits included, validation and pictures not."""
    processes: int = 1
    """Processes (GPUs) that trained together."""
    device: str | None = None


@dataclass(frozen=True)
class EvaluatedRun:
    """A detector with its evaluations."""

    name: str
    path: Path
    """As given: a run's folder or a file of `fpg-eval`."""
    files: tuple[Path, ...]
    """The evaluations that were read."""
    videos: dict[Key, Video]
    model: dict[str, Any]
    """As `fpg-eval` described it; the first file's."""
    cost: Cost
    notes: list[str] = field(default_factory=list)
    evaluations: tuple[dict[str, Any], ...] = ()
    """What the files say besides single videos."""
    home: Path | None = None
    """The folder of its training, where it is there."""
    family: str = ""
    """Name of the method that it is one seed of; its own where it stands alone."""

    @property
    def method(self) -> str:
        """How it was trained, in words; empty when unknown."""
        return str(self.provenance.get("method") or "")

    @property
    def provenance(self) -> dict[str, Any]:
        """What the weights say about their training."""
        return _object(self.model, "provenance")

    @property
    def seed(self) -> int | None:
        """Of its training."""
        value = self.provenance.get("seed")
        return value if isinstance(value, int) else None

    @property
    def warnings(self) -> list[str]:
        """What its weights warn of (`EngineSpec.warnings`)."""
        found = self.model.get("warnings")
        return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets it was evaluated on."""
        return sorted({key[0] for key in self.videos})


def read_runs(arguments: Sequence[str]) -> list[EvaluatedRun]:
    """Read runs and give each a name of its own.

    Args:
        arguments: folders of `fpg-train`, JSON files of `fpg-eval`, each optionally as `NAME=PATH`. Runs that are given one name are
            seeds of one method.

    Raises:
        InputError: nothing there, a run without an evaluation (with the command that makes one), a file that is none.
        UsageError: two runs with one name, or none at all.
    """
    if not arguments:
        raise UsageError("give at least one run or JSON file of fpg-eval")
    given = [_split(text) for text in arguments]
    names = _names(given)
    runs = [read_run(path, name) for name, (_, path) in zip(names, given, strict=True)]
    return _with_families(runs, [name for name, _ in given])


def _with_families(runs: Sequence[EvaluatedRun], given: Sequence[str | None]) -> list[EvaluatedRun]:
    """The runs with their `family`: those given one name, and those that differ in nothing but their seed.

    Raises:
        UsageError: one name for runs that are not seeds of one method.
    """
    named: dict[str, list[int]] = {}
    for index, run in enumerate(runs):
        named.setdefault(run.name, []).append(index)
    found = list(runs)
    for name, members in named.items():
        seeds = [runs[i].seed for i in members]
        if len(members) > 1 and (None in seeds or len(set(seeds)) < len(seeds) or any(given[i] is None for i in members)):
            raise UsageError(f"two runs are called {name!r}; name them: NAME=PATH (one name for several seeds of one method)")
        for i in members:
            found[i] = replace(runs[i], family=name, name=name if len(members) == 1 else f"{name}, seed {runs[i].seed}")
    alike: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        if given[i] is None and run.seed is not None:
            alike.setdefault(_recipe(run), []).append(i)
    for members in alike.values():
        if len(members) > 1 and len({runs[i].seed for i in members}) == len(members):
            family = _shared([runs[i].name for i in members])
            if set(named.get(family, ())) <= set(members):  # no other run is called so
                for i in members:
                    found[i] = replace(found[i], family=family)
    return found


def _recipe(run: EvaluatedRun) -> str:
    """All that is known of a training but its seed and what does not decide what is learnt (folder, machine, what is kept)."""
    config: Any = None
    if run.home is not None:
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
            config = yaml.safe_load((run.home / "config.yaml").read_text(encoding="utf-8"))
    known = {k: v for k, v in config.items() if k not in NOT_OF_RECIPE} if isinstance(config, dict) else None
    data = run.provenance.get("data")
    fingerprint = data.get("fingerprint") if isinstance(data, dict) else None
    network = (run.model.get("backbone"), run.model.get("image_size"))
    return repr((run.method, *network, fingerprint, known, None if known else run.cost.images))


def _shared(names: Sequence[str]) -> str:
    """What names of seeds have in common: `fpg-0`, `fpg-1` are `fpg`."""
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    start = "".join(letters[0] for letters in same)
    return re.sub(r"[-_.,/ ]*(seed|run|s)?[-_. ]*$", "", start) or names[0]


def read_run(path: Path, name: str) -> EvaluatedRun:
    """Read one run, see `read_runs`."""
    files = _evaluations(path)
    videos: dict[Key, tuple[Video, Path]] = {}
    models, evaluations = [], []
    for file in files:
        value = _load(file)
        models.append(_object(value, "model"))
        evaluations.append({key: part for key, part in value.items() if key != "per_video"})
        _require_same_model(models, files)
        for video in _videos(value, file):
            before = videos.setdefault(video.key, (video, file))
            if before[0] is not video and (before[1] == file or before[0] != video):
                raise InputError(
                    path, f"{video.name} is judged twice, in {before[1]} and in {file}; name the file to take instead of the folder"
                )
    home = _home(path, models[0])
    notes = []
    if home is not None and not _is_of(models[0], home):
        if path.is_dir():
            notes.append(f"{name}: {files[0]} does not judge the weights that are in {home} now (other SHA-256); evaluate them again")
        else:
            home = None
    judged = {key: video for key, (video, _) in videos.items()}
    return EvaluatedRun(name, path, tuple(files), judged, models[0], _cost(home, models[0]), notes, tuple(evaluations), home, name)


def run_of(evaluation: dict[str, Any], path: Path, name: str) -> EvaluatedRun:
    """The run that an evaluation in memory is of.

    Args:
        evaluation: as `fpg-eval` writes it.
        path: for messages.
        name: to call it.
    """
    videos = {video.key: video for video in _videos(evaluation, path)}
    model = _object(evaluation, "model")
    return EvaluatedRun(name, path, (), videos, model, _cost(None, model), family=name)


def _split(text: str) -> tuple[str | None, Path]:
    name, equals, path = text.partition("=")
    if equals and name and path and not os.path.exists(text):
        return name, Path(path)
    return None, Path(text)


def _names(given: Sequence[tuple[str | None, Path]]) -> list[str]:
    """The given names; else the fewest last parts of the paths that tell them apart."""
    free = [_parts(path) for name, path in given if name is None]
    depth = 1
    while len({parts[-depth:] for parts in free}) < len(free) and depth < max((len(p) for p in free), default=1):
        depth += 1
    return [name if name is not None else "/".join(_parts(path)[-depth:]) for name, path in given]


def _parts(path: Path) -> tuple[str, ...]:
    """Parts that name a run: `a/sbi/eval/metrics.json` is a/sbi."""
    parts = Path(os.path.abspath(path)).parts
    if path.is_dir() or path.suffix != ".json":
        return parts
    while len(parts) > 2 and (parts[-1].startswith(("eval", "metrics"))):
        parts = parts[:-1]
    return parts


def _evaluations(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(path, "no such run or file")
    files = sorted(
        file
        for pattern in PATTERNS
        for file in path.rglob(pattern)
        if file.is_file() and not OF_TRAINING & set(file.relative_to(path).parts[:-1])
    )
    if files:
        return files
    weights = path / "model.safetensors"
    if weights.is_file():
        command = shlex.join(["fpg-eval", str(weights), "--data", "DIR", "--json", str(path / "eval" / "metrics.json")])
        raise InputError(path, f"has no evaluation yet; make one: {command}")
    if (path / "config.yaml").is_file():
        raise InputError(path, f"has no final weights yet: {shlex.join(['fpg-train', '--resume', '--out', str(path)])}, then fpg-eval")
    raise InputError(path, "holds neither a run of fpg-train nor an evaluation of fpg-eval (metrics.json)")


def _load(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".csv":
        command = shlex.join(["fpg-eval", "--scores", str(path), "--against", "OURS.json", "--json", str(path.with_suffix(".json"))])
        raise InputError(path, f"is a table of scores; make an evaluation of it: {command}")
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read: {error}") from error
    except ValueError as error:
        raise InputError(path, f"is not JSON: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("per_video"), list):
        raise InputError(path, "is not an evaluation of fpg-eval (it has no list per_video)")
    return value


def _videos(value: dict[str, Any], path: Path) -> Iterator[Video]:
    protocol = _object(value, "protocol")
    rule = "; ".join(str(protocol.get(name, "")) for name in ("crop", "aggregation"))
    for index, entry in enumerate(value["per_video"]):
        yield _video(entry, f"per_video[{index}]", path, rule)


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    """A member that should be an object; what it is not, or not there, is empty."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _video(entry: Any, place: str, path: Path, rule: str) -> Video:
    def expect(ok: bool, name: str, expected: str) -> None:
        if not ok:
            raise InputError(path, f"{place}.{name}: expected {expected}, got {entry.get(name)!r}")

    if not isinstance(entry, dict):
        raise InputError(path, f"{place}: expected an object, got {entry!r}")
    for name in ("dataset", "method", "video"):
        expect(isinstance(entry.get(name), str), name, "a text")
    label, score, status = entry.get("label"), entry.get("score"), entry.get("status")
    expect(label in (REAL, FAKE) and not isinstance(label, bool | float), "label", "0 or 1")
    expect(status in STATUSES, "status", " or ".join(STATUSES))
    number = isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score) and 0 <= score <= 1
    expect(number if status == "scored" else score is None, "score", "a number in [0, 1]" if status == "scored" else "null")
    frames, error = entry.get("frames"), entry.get("error")
    return Video(
        (entry["dataset"], entry["method"], entry["video"]),
        int(entry["label"]),
        None if score is None else float(score),
        str(status),
        None if error is None else str(error),
        frames if isinstance(frames, int) else None,
        rule,
        str(entry.get("compression") or ""),
    )


def _require_same_model(models: Sequence[dict[str, Any]], files: Sequence[Path]) -> None:
    first, last = models[0].get("sha256"), models[-1].get("sha256")
    if first != last:
        raise InputError(files[len(models) - 1], f"judges another model than {files[0]}; name the file to take instead of the folder")


def _home(path: Path, model: dict[str, Any]) -> Path | None:
    """The run's folder: the one given, or the one that the evaluated file lies in or its evaluation."""
    near = [path] if path.is_dir() else [path.parent, path.parent.parent]
    file = model.get("file")
    own = [Path(file).parent] if isinstance(file, str) else []
    return next((folder for folder in near + own if (folder / "log.jsonl").is_file()), None)


def _is_of(model: dict[str, Any], home: Path) -> bool:
    """Whether an evaluation is of the weights in a folder; what is unknown counts as yes, and so does an engine exported from them."""
    try:
        spec = json.loads((home / "model.spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    files = spec.get("files") if isinstance(spec, dict) else None
    return model.get("backend") != "torch" or not isinstance(files, dict) or model.get("sha256") in files.values()


def _cost(home: Path | None, model: dict[str, Any]) -> Cost:
    provenance = _object(model, "provenance")
    pairs = _object(provenance, "counts").get("pairs")
    images = 2 * pairs if isinstance(pairs, int) else None
    processes = provenance.get("processes")
    device = provenance.get("device")
    log = _epochs(home / "log.jsonl") if home is not None else []
    seconds, before = 0.0, 0
    for line in log:
        seen, rate = line["pairs"], line["images_per_s"]
        seconds += 2 * (seen - before) / rate if rate else 0.0
        before = seen
    return Cost(
        2 * before if log else images,
        seconds if log else None,
        processes if isinstance(processes, int) else 1,
        device if isinstance(device, str) else None,
    )


def _epochs(path: Path) -> list[dict[str, Any]]:
    """Lines of `log.jsonl` that end an epoch; what a kill cut off is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict) and value.get("kind") == "epoch":
            numbers = (value.get("pairs"), value.get("images_per_s"))
            if all(isinstance(n, int | float) for n in numbers):
                lines.append(value)
    return lines
