"""fpg-detect --verify: judge what a record is about again, and say whether input, model and scores are the same."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fpg.cli.entry import needed
from fpg.cli.inputs import expand
from fpg.cli.options import face_pixels, positive, probability, thread_count
from fpg.common.console import one_line
from fpg.common.errors import FpgError, InputError, UsageError
from fpg.common.files import sha256, write_json
from fpg.engines import Engine
from fpg.engines.resolve import resolve_model
from fpg.record.compare import ScoreComparison, compare_results
from fpg.record.read import Recorded, read_record
from fpg.record.run import machine, now, record_model, source
from fpg.record.schema import VERIFICATION
from fpg.runtime.inputs import DECODERS
from fpg.runtime.judgement import printable
from fpg.runtime.judging import Analyzer
from fpg.runtime.pipeline import VideoDetector

SHOWN = 3
"""Differences told on the terminal of each input."""
Load = Callable[..., Engine]


@dataclass(frozen=True)
class Verified:
    """What became of one input of a record."""

    input: str
    same: bool
    file: str
    """`same`, `changed`, `missing`, or `not_recorded`: the record has no hash of it (a stream, an input that was not there)."""
    scores: str
    """See `fpg.record.compare.ScoreComparison`."""
    largest_difference: float | None
    differences: list[str]


def verify(arguments: argparse.Namespace, load: Load, finder: Callable[[float], Callable[[], Analyzer]]) -> int:
    """Judge again and tell; the exit code: 0 where all is the same, 1 where it is not.

    Args:
        arguments: of fpg-detect: `verify`, `model`, `inputs` (where the files lie now), `json`.
        load: `fpg.engines.load_engine`.
        finder: given `min_face`, what makes a face finder.

    Raises:
        InputError: the record cannot be read.
        SetupError: the model cannot be used.
    """
    recorded = read_record(arguments.verify)
    settings = _settings(recorded, arguments.verify)
    count = len(recorded.results)
    counted = "1 result" if count == 1 else f"{count} results"
    print(one_line(f"{arguments.verify}: {counted}, recorded {recorded.record.get('ended')}"), flush=True)
    models = _models(arguments, recorded, load, settings["threads"])
    problems = [text for model in models for text in model.problems] or _changed_since(recorded)
    for problem in problems:
        print(one_line(f"note    {problem}"), flush=True)
    results: list[Verified] = []
    engines = [model.engine for model in models if model.engine is not None]
    if len(engines) == len(models):
        exact = not problems and settings["jobs"] == 1 and all(model.same for model in models)
        options = {key: settings[key] for key in ("frames", "every", "decode", "min_face", "batch", "threshold")}
        options |= {"timeout": arguments.timeout or None, "highlights": 0}
        names = [model.name for model in models]  # as results call them, wherever they lie now
        with VideoDetector(engines, finder(settings["min_face"]), names=names, **options) as detector:
            for result, path in _located(recorded, arguments):
                results.append(_verified(result, path, detector, exact))
                _tell(results[-1], result)
    same = all(model.same for model in models) and all(result.same for result in results)
    print("the same: input, model and scores" if same else "NOT the same", flush=True)
    if arguments.json:
        value = {
            "schema": VERIFICATION,
            "record": printable(arguments.verify),
            "fpg": source("fpg-detect"),
            "verified": now(),
            "same": same,
        }
        parts = {"models": [model.to_json() for model in models], "results": [asdict(r) for r in results], "problems": problems}
        write_json(arguments.json, value | parts)
    return 0 if same else 1


@dataclass(frozen=True)
class _Found:
    """A model of a record, as it is now."""

    name: str
    """In the record."""
    recorded: str | None
    found: str | None
    """SHA-256 of its file."""
    same: bool
    engine: Engine | None
    """None where its files are not those that its sidecar describes."""
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`name, state, recorded, found`."""
        return {"name": self.name, "state": "same" if self.same else "changed", "recorded": self.recorded, "found": self.found}


def _models(arguments: argparse.Namespace, recorded: Recorded, load: Load, threads: int | None) -> list[_Found]:
    """The models of a record, loaded, and told.

    Raises:
        UsageError: as many `--model` as the record has, or none, are expected.
        SetupError: there is no such model.
    """
    wanted = recorded.record["models"]
    if arguments.model and len(arguments.model) != len(wanted):
        raise UsageError(f"--verify: expected {len(wanted)} --model, in the order of the record, got {len(arguments.model)}")
    models = []
    for was, name in zip(wanted, arguments.model or [model["name"] for model in wanted], strict=True):
        with needed():
            model = resolve_model(name, device=arguments.device)
        try:
            engine = load(model.path, device=arguments.device, threads=threads)
        except InputError as error:
            now_there = _Found(was["name"], was.get("sha256"), None, False, None, (str(error),))
        else:
            found = record_model(engine.spec, model.name, model.path)
            same = found.sha256 == was.get("sha256") and dict(found.files) == was.get("files", dict(found.files))
            now_there = _Found(was["name"], was.get("sha256"), found.sha256, same, engine)
        models.append(now_there)
        hashes = _hashes(now_there.found, now_there.recorded)
        print(one_line(f"model   {'same' if now_there.same else 'CHANGED'}  {model.name}: {hashes}"), flush=True)
    return models


def _settings(recorded: Recorded, path: str) -> dict[str, Any]:
    """How to judge again, checked.

    Raises:
        InputError: settings that mean nothing.
    """
    given = recorded.record["settings"]
    try:
        checked: dict[str, Any] = {
            "frames": None if given["frames"] == "all" else positive(str(given["frames"])),
            "every": positive(str(given["every"])),
            "decode": given["decode"],
            "min_face": face_pixels(f"{given['min_face']:g}"),
            "batch": positive(str(given["batch"])),
            "jobs": positive(str(given["jobs"])),
            "threads": None if given["threads"] is None else thread_count(str(given["threads"])),
            "threshold": None if given["threshold"] is None else probability(str(given["threshold"])),
        }
    except (KeyError, TypeError, ValueError, argparse.ArgumentTypeError) as error:
        raise InputError(path, f"settings: {error}", "invalid") from error
    if checked["decode"] not in DECODERS:
        raise InputError(path, f"settings: decode: expected one of {', '.join(DECODERS)}, got {checked['decode']}", "invalid")
    return checked


def _changed_since(recorded: Recorded) -> list[str]:
    """What may change the last digits of a score, between then and now."""
    then, before = recorded.record["platform"], recorded.record["fpg"]
    at_once = machine()
    found = [f"{key}: {then.get(key)} then, {at_once[key]} now" for key in ("system", "processor") if then.get(key) != at_once[key]]
    versions = then.get("versions") if isinstance(then.get("versions"), dict) else {}
    found += [
        f"{name}: {versions.get(name)} then, {value} now" for name, value in at_once["versions"].items() if versions.get(name) != value
    ]
    ours = source("fpg-detect")
    return found + [f"fpg's {key}: {before.get(key)} then, {ours[key]} now" for key in ours if before.get(key) != ours[key]]


def _located(recorded: Recorded, arguments: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Path | None]]:
    """Every result with the file that it is about: where the record names it, or among the inputs given, by its bytes, then by its name.

    Raises:
        UsageError: inputs were given, and none of them can be read.
    """
    given: dict[str, Path] = {}
    if arguments.inputs:
        files = [Path(name) for name in expand(arguments.inputs).files if os.path.isfile(name)]
        if not files:
            raise UsageError("--verify: none of the INPUTs is a file")
        given = {path.name: path for path in reversed(files)}
        given |= {sha256(path): path for path in reversed(files)}
    folder = recorded.record.get("folder")
    for result in recorded.results:
        name = result["input"]
        path = given.get(result.get("sha256") or "") or given.get(os.path.basename(name))
        if path is None and not arguments.inputs:
            there = [Path(name), Path(folder if isinstance(folder, str) else "", name)]
            path = next((place for place in there if place.exists()), None)
        yield result, path


def _verified(result: dict[str, Any], path: Path | None, detector: VideoDetector, exact: bool) -> Verified:
    recorded = result.get("sha256")
    if recorded is None:  # a stream, or what was not there: nothing to say, unless there is a score that nobody can repeat
        told = [f"{result['input']}: has a score but no hash of its input"] if result.get("score") is not None else []
        return Verified(result["input"], not told, "not_recorded", "not_judged", None, told)
    if path is None:
        return Verified(result["input"], False, "missing", "not_judged", None, [f"{result['input']}: no such file"])
    try:
        found = detector.judge(path).to_json()
    except FpgError as error:
        return Verified(result["input"], False, "same", "changed", None, [str(error)])
    same = found["sha256"] == recorded and found["bytes"] == result.get("bytes")
    comparison: ScoreComparison = compare_results(result, found, exact=exact)
    differences = list(comparison.differences)
    if not same:
        differences.insert(0, f"the input: {_hashes(found['sha256'], recorded)}, {found['bytes']} bytes, recorded {result.get('bytes')}")
    whole = same and comparison.state != "changed"
    return Verified(result["input"], whole, "same" if same else "changed", comparison.state, comparison.largest, differences)


def _tell(verified: Verified, result: dict[str, Any]) -> None:
    score = result.get("score")
    what = f"{score:.3f}" if isinstance(score, int | float) else "    -"
    words = {
        "same": "scores same to the last digit",
        "close": f"scores same within {verified.largest_difference or 0:.1g}",
        "changed": "scores CHANGED",
        "not_judged": "without a score, as before" if verified.file == "same" else "not judged",
    }[verified.scores]
    head = "same" if verified.same else "CHANGED"
    print(one_line(f"{head:<7} {what}  {verified.input}: input {verified.file.replace('_', ' ')}, {words}"), flush=True)
    for difference in verified.differences[:SHOWN]:
        print(one_line(f"          {difference}"), flush=True)
    if len(verified.differences) > SHOWN:
        print(f"          and {len(verified.differences) - SHOWN} more", flush=True)


def _hashes(found: str | None, recorded: Any) -> str:
    if found == recorded:
        return f"SHA-256 {found}"
    return f"SHA-256 {found}, recorded {recorded}"
