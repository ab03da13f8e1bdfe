"""Prepared and raw folders to results and metrics, with stand-ins for the networks."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, empty_image, face_image, lossless_video, save

from fpg.common.errors import InputError, UsageError
from fpg.data.manifest import FaceRow, VideoRecord, read_manifest, write_manifest
from fpg.evaluate.protocol import Result, WorstFaces, plan, score
from fpg.evaluate.summary import summarise


def prepared(root: Path, videos: dict[str, tuple[int, list[list[int]]]], split: str = "test") -> Path:
    """A prepared folder: name -> (label, reds of the faces of each frame). Face k > 0 of a frame has a quarter of the area."""
    faces, records = [], []
    for name, (label, frames) in videos.items():
        for index, reds in enumerate(frames):
            for number, red in enumerate(reds):
                path = f"crops/{name}_{index}_{number}.png"
                save(root / path, face_image(red))
                side = 32 if number == 0 else 16
                box = np.array([16, 8, 16 + side, 8 + side], np.float32)
                landmarks = np.zeros((68, 2), np.float32)
                method = "blend" if label else ""
                faces.append(
                    FaceRow(
                        "set",
                        method,
                        name,
                        index,
                        index / 10,
                        number,
                        label,
                        split,
                        path,
                        (100, 50),
                        (480, 640),
                        (48, 64),
                        box,
                        landmarks,
                        0.9,
                    )
                )
        with_face = sum(bool(f) for f in frames)
        status = "prepared" if with_face else "no_face"
        records.append(
            VideoRecord("set", "blend" if label else "", name, label, split, f"/videos/{name}.mp4", status, "", len(frames), with_face)
        )
    write_manifest(root, faces, records)
    return root


GOOD: dict[str, tuple[int, list[list[int]]]] = {
    "a": (0, [[51], [102]]),
    "b": (0, [[153], []]),
    "c": (1, [[204, 255], [204]]),
    "d": (1, [[110], [160]]),
}


def run(*folders: Path, **options: Any) -> tuple[list[Result], dict[str, Any]]:
    chosen = plan(folders, BrightnessEngine(), GreenAnalyzer, **options)
    results = list(score(chosen.items))
    return results, summarise(results, chosen.notes, 0.5, 32)


def test_prepared_folder(tmp_path: Path) -> None:
    results, metrics = run(prepared(tmp_path, GOOD))
    scores = {r.video: r.judgement.score for r in results}
    # b's second frame has no face; c's second face is too small to count
    assert scores == pytest.approx({"a": 0.3, "b": 0.6, "c": 0.8, "d": 135 / 255}, abs=2e-3)
    assert metrics["auc"] == pytest.approx(3 / 4)  # pairs (a,c) (a,d) (b,c) right, (b,d) wrong
    assert metrics["accuracy"] == 0.75  # b is on the wrong side
    assert (metrics["videos"], metrics["scored"], metrics["failed"], metrics["no_face"]) == (4, 4, 0, 0)
    assert metrics["as_released"]["auc"] == metrics["auc"]
    assert metrics["frame_level"]["frames"] == 7
    assert metrics["protocol"]["frames_per_video"] == [2, 2]
    assert "4 videos (2 real, 2 fake), 4 scored, 0 failed, 0 without a face" in metrics["protocol"]["text"]
    (first, *_) = metrics["per_video"]
    assert {"dataset", "method", "video", "label", "score", "status", "error"} <= set(first)
    box = results[0].judgement.frames[0].faces[0].box
    assert box == (116, 58, 148, 90)  # in pixels of the whole frame
    json.dumps(metrics, allow_nan=False)


def test_a_prepared_folder_scores_like_its_frames(tmp_path: Path) -> None:
    """One crop rule: a raw image and its prepared crop give the same score."""
    image = face_image(123)
    save(tmp_path / "raw" / "real" / "x.png", image)
    results, _ = run(tmp_path / "raw", prepared(tmp_path / "prep", {"x": (0, [[123]])}))
    assert results[0].judgement.score == results[1].judgement.score


def test_smallest_face_that_is_judged(tmp_path: Path) -> None:
    """Faces of 32 pixels, raw and prepared; in prepared folders every face is judged unless a size is given."""
    save(tmp_path / "raw" / "real" / "x.png", face_image(123))
    folders = tmp_path / "raw", prepared(tmp_path / "prep", {"x": (0, [[123]])})
    for size in (None, 32):
        assert [r.status for r in run(*folders, min_face=size)[0]] == ["scored", "scored"]
    results, metrics = run(*folders, min_face=33)
    assert [r.judgement.error for r in results] == ["face too small to judge: 32 px (at least 33 are needed)"] * 2
    assert [r.judgement.error_code for r in results] == ["face_too_small"] * 2
    assert metrics["scored"] == 0
    assert all(note.endswith(", faces of at least 33 px") for note in metrics["protocol"]["data"])


def test_failed_and_faceless_videos_are_listed_and_left_out(tmp_path: Path) -> None:
    root = prepared(tmp_path, {**GOOD, "nobody": (1, [[], []]), "gone": (0, [[10], [20]]), "broken": (1, [[250]])})
    (root / "crops/gone_1_0.png").unlink()
    (root / "crops/broken_0_0.png").write_bytes(b"\x89PNG broken")
    manifest = read_manifest(root)
    failed = VideoRecord("set", "", "unread", 0, "test", "/videos/unread.mp4", "failed", "is empty (0 bytes)")
    write_manifest(root, manifest.faces, [*manifest.videos, failed])
    results, metrics = run(root)
    assert metrics["auc"] == pytest.approx(3 / 4)
    assert (metrics["videos"], metrics["scored"], metrics["failed"], metrics["no_face"]) == (8, 4, 3, 1)
    reasons = {v["video"]: v["reason"] for v in metrics["failed_videos"]}
    assert set(reasons) == {"set/gone", "set/blend/broken", "set/unread"}
    assert "gone_1_0.png" in reasons["set/gone"]
    assert reasons["set/unread"] == "failed in preparation: is empty (0 bytes)"
    assert metrics["no_face_videos"][0]["video"] == "set/blend/nobody"
    assert all(r.judgement.score is None for r in results if r.status != "scored")
    # as released: 0.5 for gone and unread (real), broken and nobody (fake), besides a .3, b .6, c .8, d .53
    wins = sum((f > r) + 0.5 * (f == r) for f in (0.8, 0.53, 0.5, 0.5) for r in (0.3, 0.6, 0.5, 0.5))
    assert metrics["as_released"]["auc"] == pytest.approx(wins / 16)


def test_a_box_that_is_not_finite_or_outside_its_crop_fails_that_video(tmp_path: Path) -> None:
    root = prepared(tmp_path, {**GOOD, "nan": (0, [[10], [20]]), "far": (1, [[10]])})
    manifest = read_manifest(root)
    boxes = {"nan": [np.nan, 8, 48, 40], "far": [900, 900, 950, 950]}
    faces = [replace(f, box=np.array(boxes[f.video], np.float32)) if f.video in boxes and f.frame == 0 else f for f in manifest.faces]
    write_manifest(root, faces, manifest.videos)
    _, metrics = run(root)
    assert (metrics["scored"], metrics["failed"]) == (4, 2)
    reasons = {v["video"]: v["reason"] for v in metrics["failed_videos"]}
    assert "frame 0 does not fit its crops: boxes: expected finite" in reasons["set/nan"]
    assert "expected to meet the image" in reasons["set/blend/far"]


def test_all_failed_and_one_class_have_no_auc(tmp_path: Path) -> None:
    _, metrics = run(prepared(tmp_path / "n", {"x": (0, [[]]), "y": (1, [[]])}))
    assert (metrics["auc"], metrics["accuracy"], metrics["reason"]) == (None, None, "nothing was scored")
    assert metrics["as_released"]["auc"] == 0.5
    _, metrics = run(prepared(tmp_path / "r", {"x": (0, [[10]])}))
    assert metrics["auc"] is None
    assert "only real" in metrics["reason"]
    json.dumps(metrics, allow_nan=False)


def test_splits(tmp_path: Path) -> None:
    root = prepared(tmp_path, {"t": (0, [[10]])}, split="train")
    assert len(run(root, split="train")[0]) == len(run(root, split="all")[0]) == 1
    with pytest.raises(InputError, match=r"has no test videos \(it has 1 train\)"):
        run(root)
    with pytest.raises(UsageError, match="split"):
        run(root, split="best")


def test_vanished_and_missing_data_are_one_clear_error(tmp_path: Path) -> None:
    root = prepared(tmp_path / "p", GOOD)
    shutil.rmtree(root / "crops")
    with pytest.raises(InputError, match="lists 8 crops and none of them is there any more"):
        run(root)
    with pytest.raises(InputError, match="no such"):
        run(tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(InputError, match=r"void: .*no video"):
        run(tmp_path / "void")
    write_manifest(tmp_path / "void", [], [])
    with pytest.raises(InputError, match="the manifest is empty"):
        run(tmp_path / "void")


def test_unlabelled_data_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", face_image(3))
    with pytest.raises(InputError, match="1 of 1 inputs have no label"):
        run(tmp_path)


def test_the_same_folder_twice_is_refused(tmp_path: Path) -> None:
    root = prepared(tmp_path, GOOD)
    with pytest.raises(UsageError, match="comes twice"):
        run(root, root)


def test_raw_folder_with_videos_frames_images_and_failures(tmp_path: Path) -> None:
    lossless_video(tmp_path / "real" / "v.mkv", [face_image(51), face_image(102)])
    for i, red in enumerate([204, 255]):
        save(tmp_path / "fake" / "folder" / f"{i}.png", face_image(red))
    save(tmp_path / "fake" / "nobody.png", empty_image())
    (tmp_path / "real" / "bad.mp4").touch()
    results, metrics = run(tmp_path, frames=2)
    scores = {r.video: r.judgement.score for r in results if r.status == "scored"}
    assert scores == pytest.approx({"v": 0.3, "folder": 0.9}, abs=2e-3)
    assert (metrics["auc"], metrics["failed"], metrics["no_face"]) == (1, 1, 1)
    assert "it knows no splits" in metrics["protocol"]["data"][0]


def test_raw_folder_with_splits_uses_test(tmp_path: Path) -> None:
    for split, red in [("train", 10), ("test", 200)]:
        for label in ("real", "fake"):
            save(tmp_path / split / label / f"{split}{label}.png", face_image(red))
    assert sorted(Path(r.judgement.input).parts[-3] for r in run(tmp_path)[0]) == ["test", "test"]
    assert len(run(tmp_path, split="all")[0]) == 4


def test_methods_are_taken_with_the_reals_of_their_data_set(tmp_path: Path) -> None:
    results, _ = run(prepared(tmp_path, GOOD))
    other = [replace(r, dataset="other", method="swap" if r.label else "") for r in results]
    metrics = summarise([*results, *other], [], 0.5, 32)
    assert [g["dataset"] for g in metrics["by_dataset"]] == ["other", "set"]
    assert [(g["method"], g["real"], g["fake"], g["auc"]) for g in metrics["by_method"]] == [("swap", 2, 2, 0.75), ("blend", 2, 2, 0.75)]


def test_worst_keeps_pictures_of_the_furthest_from_their_label(tmp_path: Path) -> None:
    results, _ = run(prepared(tmp_path, GOOD))
    worst = WorstFaces(2)
    for result in results:
        worst.offer(result)
    assert [r.video for r, _ in worst.kept] == ["b", "d"]
    assert all(h for _, h in worst.kept)
    assert all(not r.judgement.highlights for r, _ in worst.kept)


def test_the_analyzer_is_not_built_for_prepared_data(tmp_path: Path) -> None:
    def refuse() -> GreenAnalyzer:
        raise AssertionError("built")

    chosen = plan([prepared(tmp_path, GOOD)], BrightnessEngine(), refuse)
    assert all(r.status == "scored" for r in score(chosen.items))
