"""Codecs there and back, and the robustness suite from end to end with stand-ins for the networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, check_page, empty_image, face_image, lossless_video, save

import fpg.cli.evaluate as evaluate
import fpg.evaluate.robustness as robustness
from fpg.common.errors import InputError, MissingDependencyError, UsageError
from fpg.evaluate.codecs import require_encoder, through_codec, transcode
from fpg.evaluate.perturbations import BY_NAME, Cell, select
from fpg.evaluate.protocol import EvaluationItem, Plan, Result, plan, score
from fpg.evaluate.robustness import Suite, sample
from fpg.evaluate.robustness_cells import tabulate
from fpg.evaluate.robustness_log import CLEAN, PerturbedOutcome
from fpg.evaluate.robustness_report import remarks, robustness_figure, robustness_markdown, robustness_section
from fpg.runtime.inputs import open_frames

# -- codecs


def moving(frames: int, height: int, width: int) -> list[np.ndarray]:
    """Fresh smooth colours that move."""
    rng = np.random.default_rng(20261123)
    y, x = np.mgrid[:height, : width + 2 * frames]
    canvas = np.stack([127 + 60 * np.sin(x * rng.uniform(0.05, 0.3)) + 50 * np.cos(y * rng.uniform(0.05, 0.3)) for _ in range(3)], -1)
    canvas = np.clip(canvas + rng.normal(0, 8, canvas.shape), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(canvas[:, 2 * i : 2 * i + width]) for i in range(frames)]


def write(path: Path, images: list[np.ndarray], pixels: str = "yuv420p", codec: str = "ffv1", **tags: int) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], pixels
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)))
        container.mux(stream.encode(None))
    return path


def psnr(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    return float(10 * np.log10(255**2 / np.mean((np.stack(a).astype(float) - np.stack(b)) ** 2)))


def read(path: Path) -> list[np.ndarray]:
    return [image for _, _, image in open_frames(path, None)[1]]


def coded(path: Path, folder: Path, codec: str, crf: int) -> list[np.ndarray]:
    return [image for _, _, image in through_codec(path, folder, codec, crf, None)[1]]


@pytest.mark.parametrize("name", ["compression", "h264", "h265"])
def test_higher_levels_lose_more_and_write_less(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "clip.mkv", moving(12, 96, 128))
    clean, quality, sizes = read(path), [], []
    for level in range(1, 6):
        cell = Cell(BY_NAME[name], level)
        got = coded(path, tmp_path, cell.perturbation.codec, int(cell.parameter))
        assert [g.shape for g in got] == [c.shape for c in clean]
        quality.append(psnr(got, clean))
        sizes.append((tmp_path / f"{cell.perturbation.codec}-{cell.parameter:g}.mp4").stat().st_size)
    assert quality == sorted(quality, reverse=True)
    assert sizes == sorted(sizes, reverse=True)
    assert 15 < quality[-1] < quality[0] < 50


@pytest.mark.parametrize("level", range(1, 6))
def test_the_encoder_says_the_published_rate_factor(tmp_path: Path, level: int) -> None:
    path = write(tmp_path / "clip.mkv", moving(3, 48, 64))
    transcode(path, tmp_path / "a.mp4", "libx264", int(BY_NAME["compression"].levels[level - 1]))
    text = (tmp_path / "a.mp4").read_bytes()  # x264 writes its settings into the stream; preset medium: subme 7, three references
    for wanted in (f"crf={[30, 32, 35, 38, 40][level - 1]}.0", "rc=crf", "subme=7", "ref=3", "bframes=3", "keyint=250", "cabac=1"):
        assert wanted.encode() in text
    transcode(path, tmp_path / "b.mp4", "libx265", 38)
    assert b"rc=crf" in (tmp_path / "b.mp4").read_bytes()
    assert b"crf=38.0" in (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(("pixels", "tags"), [("yuv420p", {}), ("yuvj420p", {"color_range": 2}), ("yuv420p", {"colorspace": 1})])
def test_colours_are_kept(tmp_path: Path, codec: str, pixels: str, tags: dict[str, int]) -> None:
    kind = "mjpeg" if pixels == "yuvj420p" else "ffv1"
    path = write(tmp_path / "clip.mkv", moving(4, 64, 96), pixels, kind, **tags)
    clean, got = read(path), coded(path, tmp_path, codec, 1)
    assert psnr(got, clean) > 45  # a matrix or range taken for another one costs far more
    difference = np.stack(got).astype(float).mean((0, 1, 2)) - np.stack(clean).mean((0, 1, 2))
    assert np.abs(difference).max() < 1


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_odd_sides_stills_and_folders(tmp_path: Path, codec: str) -> None:
    images = moving(3, 97, 131)
    save(tmp_path / "still.png", images[0])
    for i, image in enumerate(images):
        save(tmp_path / "folder" / f"{i}.png", image)
    video = write(tmp_path / "odd.mkv", images)
    for path, count in ((tmp_path / "still.png", 1), (tmp_path / "folder", 3), (video, 3)):
        got = coded(path, tmp_path, codec, 5)
        assert len(got) == count
        assert got[0].shape == (97, 131, 3)
        assert psnr(got, read(path)) > 26  # fresh noise in chroma, which has half the resolution


def test_the_same_twice_and_the_wanted_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mkv", moving(9, 64, 64))
    for codec in ("libx264", "libx265"):
        (tmp_path / "x").mkdir(exist_ok=True)
        whole, again = coded(path, tmp_path, codec, 30), coded(path, tmp_path / "x", codec, 30)
        np.testing.assert_array_equal(whole, again)
        count, images = through_codec(path, tmp_path, codec, 30, 3)
        some = list(images)
        assert count == 3
        assert [index for index, _, _ in some] == [0, 4, 8]
        np.testing.assert_array_equal([image for _, _, image in some], [whole[i] for i in (0, 4, 8)])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_videos_of_few_frames(tmp_path: Path, count: int) -> None:
    """x265 gives fewer than three frames a random decoding time, and now and then the file cannot be written (its issue 934)."""
    path = write(tmp_path / "clip.mkv", moving(count, 64, 64))
    for _ in range(5):
        assert len(coded(path, tmp_path, "libx265", 40)) == count


def test_codec_failures_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="no encoder libnothing"):
        require_encoder("libnothing")
    save(tmp_path / "mixed" / "0.png", face_image(3))
    save(tmp_path / "mixed" / "1.png", face_image(3, height=60))
    with pytest.raises(InputError, match="changes its size at frame 1"):
        transcode(tmp_path / "mixed", tmp_path / "out.mp4", "libx264", 30)
    (tmp_path / "junk.mp4").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"junk\.mp4"):
        transcode(tmp_path / "junk.mp4", tmp_path / "out.mp4", "libx264", 30)
    still = save(tmp_path / "s.png", face_image(3)) or tmp_path / "s.png"
    with pytest.raises(InputError, match="cannot be encoded with libx264 at CRF 30"):
        transcode(still, tmp_path / "none" / "out.mp4", "libx264", 30)


# -- the suite


def data(root: Path) -> Path:
    """Three real and three fake stills whose AUC is 8 / 9, large enough for blocks."""
    for i, red in enumerate([20, 60, 140]):
        save(root / "real" / f"r{i}.png", face_image(red, 200, 264, 280))
        save(root / "fake" / f"f{i}.png", face_image(red + 100, 200, 264, 280))
    return root


def chosen(root: Path, engine: BrightnessEngine) -> tuple[Plan, list[Result]]:
    found = plan([root], engine, GreenAnalyzer)
    return found, list(score(found.items))


class Finder:
    """Like GreenAnalyzer, but a face may lose up to 60 levels of green; counts its calls."""

    def __init__(self, least: int = 195) -> None:
        self.least, self.calls = least, 0

    def __call__(self, image: np.ndarray) -> list[Any]:
        self.calls += 1
        return list(GreenAnalyzer()(np.where(image >= self.least, 255, image).astype(np.uint8)))


def suite(cells: list[Cell], engine: BrightnessEngine | None = None, finder: Finder | None = None, **options: Any) -> Suite:
    return Suite(engine or BrightnessEngine(), lambda: finder or Finder(), cells, **options)


def cell_of(result: dict[str, Any], name: str, level: int) -> dict[str, Any]:
    return next(c for c in result["cells"] if (c["perturbation"], c["level"]) == (name, level))


def test_scores_come_from_perturbed_frames_before_detection(tmp_path: Path) -> None:
    found, clean = chosen(data(tmp_path / "d"), BrightnessEngine())
    steps: list[str] = []
    run = suite(select("contrast"))
    result = run.run(found.items, clean, steps.append)
    assert len(steps) == run.steps(found.items) == 30
    assert result["clean"] == pytest.approx(8 / 9)
    # Contrast x 0.85 leaves green 216: found, and the order of the scores is the same. From x 0.725 on no face is found.
    weak = cell_of(result, "contrast", 1)
    assert (weak["auc"], weak["drop"], weak["scored"], weak["no_face"]) == (pytest.approx(8 / 9), 0, 6, 0)
    assert weak["interval"][0] <= weak["auc"] <= weak["interval"][1]
    strong = cell_of(result, "contrast", 2)
    assert (strong["auc"], strong["drop"], strong["scored"], strong["no_face"], strong["auc_as_released"]) == (None, None, 0, 6, 0.5)
    assert strong["reason"] == "nothing was scored"
    assert {v["video"] for v in strong["without_score"]} == {r.name for r in clean}
    assert all("no face" in v["reason"] for v in strong["without_score"])
    row = result["rows"][0]
    assert row["auc"] == [pytest.approx(8 / 9), None, None, None, None]
    assert row["mean"]["auc"] is None  # an average never hides a cell without a value
    assert result["averages"][0]["drop"] is None


def test_drop_compares_the_same_videos() -> None:
    """A video that loses its face leaves both sides of the drop, and its cell says so."""
    items = [
        EvaluationItem("d", "m" if label else "", str(i), label, f"{i}.mp4", lambda: None) for i, label in enumerate([0, 0, 0, 1, 1, 1])
    ]  # type: ignore[arg-type, return-value]
    cell = Cell(BY_NAME["blur"], 2)
    before = [0.1, 0.2, 0.9, 0.8, 0.7, 0.6]  # AUC 6 / 9
    after = [0.1, 0.75, None, 0.8, 0.7, 0.6]  # without the third: clean 1, perturbed 4 / 6
    outcomes = [
        {
            (CLEAN, 0): PerturbedOutcome("scored", b),
            ("blur", 2): PerturbedOutcome("scored", a) if a is not None else PerturbedOutcome("no_face", reason="no face found"),
        }
        for b, a in zip(before, after, strict=True)
    ]
    result = tabulate(items, outcomes, [cell])
    got = cell_of(result, "blur", 2)
    assert result["clean"] == pytest.approx(6 / 9)
    assert (got["auc"], got["drop"], got["videos_in_drop"]) == (pytest.approx(4 / 6), pytest.approx(1 - 4 / 6), 5)
    assert got["drop_interval"][0] <= got["drop"] <= got["drop_interval"][1]
    assert got["auc_as_released"] == pytest.approx(7 / 9)  # the third counts as 0.5
    assert [v["video"] for v in got["without_score"]] == ["d/2"]
    assert remarks(result) == ["Gaussian blur 2 (kernel 9): of 6 videos 1 without a face"]
    assert "1 without a face" in robustness_section(result)
    assert "| Gaussian blur | – | 66.7 (-33.3) | – |" in robustness_markdown(result)
    assert len([a for a in robustness_figure(result).axes if a.get_visible()]) == 1


def test_frames_are_decoded_once_for_all_frame_perturbations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, clean = chosen(data(tmp_path / "d"), BrightnessEngine())
    opened: list[Any] = []
    monkeypatch.setattr(robustness, "open_frames", lambda *a: opened.append(a) or open_frames(*a))
    finder = Finder()
    suite(select("saturation,blocks,jpeg"), finder=finder).run(found.items, clean)
    assert len(opened) == 6
    assert finder.calls == 6 * 15  # faces are looked for under each


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    found, clean = chosen(data(tmp_path / "d"), BrightnessEngine())
    log = tmp_path / "log" / "scores.jsonl"
    cells = select("saturation,blocks,h264", quick=True)

    class Stop(Exception):
        pass

    def stop_after(number: int) -> Any:
        left = [number]

        def advance(cell: str) -> None:
            left[0] -= 1
            if not left[0]:
                raise Stop

        return advance

    first = Finder()
    with pytest.raises(Stop):
        suite(cells, finder=first, log=log).run(found.items, clean, stop_after(23))
    with open(log, "ab") as file:
        file.write(b'{"key": ["torn')  # killed while writing
    second = Finder()
    resumed = suite(cells, finder=second, log=log).run(found.items, clean)
    assert (first.calls, second.calls) == (23, 6 * 9 - 23)
    assert resumed == suite(cells).run(found.items, clean)
    assert all(json.loads(line) for line in log.read_text().splitlines())
    third = Finder()
    assert suite(cells, finder=third, log=log).run(found.items, clean) == resumed
    assert third.calls == 0
    save(tmp_path / "d" / "real" / "r0.png", face_image(21, 201, 264, 280))  # this input is another one now
    suite(cells, finder=third, log=log).run(found.items, clean)
    assert third.calls == 9
    for options in ({"seed": 1}, {"frames": 8}, {"engine": BrightnessEngine(files={"fake.onnx": "1" * 64})}):
        with pytest.raises(UsageError, match="belongs to another run"):
            suite(cells, log=log, **options)
    log.write_text("hello\n")
    with pytest.raises(UsageError, match="not a robustness log"):
        suite(cells, log=log)


def test_failures_are_kept_apart_and_tried_again(tmp_path: Path) -> None:
    root = data(tmp_path / "d")
    (root / "fake" / "broken.mp4").write_bytes(b"junk")
    save(root / "real" / "nobody.png", empty_image(264, 280))
    found, clean = chosen(root, BrightnessEngine())
    log = tmp_path / "scores.jsonl"
    result = suite(select("blocks,h264", quick=True), log=log).run(found.items, clean)
    for cell in result["cells"]:
        assert (cell["failed"], cell["no_face"], cell["scored"]) == (1, 1, 6)
        assert {v["video"].rsplit("/")[-1]: v["status"] for v in cell["without_score"]} == {"broken": "failed", "nobody": "no_face"}
    broken = Finder()
    broken.__class__ = type("Broken", (Finder,), {"__call__": lambda self, image: 1 / 0})
    failing = suite(select("jpeg", quick=True), finder=broken, log=log).run(found.items, clean)
    assert all(c["failed"] == 8 and c["auc"] is None for c in failing["cells"])
    again = suite(select("jpeg", quick=True), log=log).run(found.items, clean)
    assert all(c["failed"] == 1 and c["scored"] == 6 for c in again["cells"])


def test_small_frames_that_get_no_blocks_are_counted(tmp_path: Path) -> None:
    for label, red in (("real", 20), ("fake", 200)):
        save(tmp_path / "d" / label / "a.png", face_image(red))
    found, clean = chosen(tmp_path / "d", BrightnessEngine())
    result = suite(select("blocks,pixelation", quick=True)).run(found.items, clean)
    assert [c["unchanged"] for c in result["cells"]] == [2, 2, 2, 0, 0, 0]
    assert "Local blocks 1 (per 256 px 16): of 2 videos 2 left unchanged" in remarks(result)


def test_one_class(tmp_path: Path) -> None:
    save(tmp_path / "d" / "real" / "a.png", face_image(20))
    found, clean = chosen(tmp_path / "d", BrightnessEngine())
    result = suite(select("jpeg")).run(found.items, clean)
    assert result["clean"] is None
    assert all(c["auc"] is None and c["scored"] == 1 and "need both classes" in c["reason"] for c in result["cells"])
    assert "AUC is undefined" in robustness_section(result)


def test_prepared_folders_use_the_originals(tmp_path: Path) -> None:
    root = data(tmp_path / "d")
    found, clean = chosen(root, BrightnessEngine())
    as_prepared = [replace(item, looked=32) for item in found.items]
    result = suite(select("jpeg", quick=True)).run(as_prepared, clean)
    assert result["clean"] == pytest.approx(8 / 9)  # scored anew on whole frames
    missing = [replace(item, source="/nowhere/at/all.mp4") for item in as_prepared]
    with pytest.raises(UsageError, match="whole frames"):
        suite(select("jpeg")).run(missing, clean)
    some = [missing[0], *as_prepared[1:]]
    result = suite(select("jpeg", quick=True)).run(some, clean)
    assert all(c["failed"] == 1 and c["scored"] == 5 for c in result["cells"])


def test_sample_is_even_and_repeatable() -> None:
    items = [
        EvaluationItem(d, m, str(i), int(bool(m)), "x", lambda: None)  # type: ignore[arg-type, return-value]
        for d, m, n in (("a", "", 30), ("a", "x", 50), ("a", "y", 4), ("b", "z", 50))
        for i in range(n)
    ]
    first = sample(items, 12, 3)
    assert first == sample(items, 12, 3)
    assert first == sorted(set(first))
    assert first != sample(items, 12, 4)
    count = {
        (d, m): sum((items[i].dataset, items[i].method) == (d, m) for i in first)
        for d, m in (("a", ""), ("a", "x"), ("a", "y"), ("b", "z"))
    }
    assert count == {("a", ""): 12, ("a", "x"): 4, ("a", "y"): 4, ("b", "z"): 4}
    assert sample(items, 1000, 3) == list(range(len(items)))


# -- the command line


@pytest.fixture
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "load_engine", lambda path, **options: BrightnessEngine())
    monkeypatch.setattr(evaluate, "default_analyzer", Finder)


@pytest.mark.slow
@pytest.mark.usefixtures("_stand_ins")
def test_every_cell_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "d"
    for name, red in (("real/a", 40), ("real/b", 90), ("fake/c", 70), ("fake/e", 200)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        lossless_video(root / f"{name}.mkv", [face_image(red + i, 40, 56, 72) for i in range(3)])
    out, page = tmp_path / "m.json", tmp_path / "r.html"
    code = evaluate.main(["m.xml", "--data", str(root), "--robustness", "all", "--json", str(out), "--report", str(page)])
    assert code == 0
    result = json.loads(out.read_text())["robustness"]
    assert len(result["cells"]) == 70
    assert [a["cells"] for a in result["averages"]] == [35, 70]
    assert result["sampled"] is None
    assert all(c["failed"] == 0 and c["scored"] + c["no_face"] == 4 for c in result["cells"])
    assert cell_of(result, "saturation", 1)["scored"] == 4
    text = check_page(page).text
    assert "Robustness" in text
    assert "Video compression" in text
    printed = capsys.readouterr()
    assert "robustness (published suite, 35 cells): mean AUC" in printed.out
    assert "Pixelation" in printed.out
    assert "without a face" in printed.err
    assert len((tmp_path / "m.robustness.jsonl").read_text().splitlines()) == 1 + 4 * 70


@pytest.mark.usefixtures("_stand_ins")
def test_quick_and_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root = data(tmp_path / "d")
    monkeypatch.setattr(evaluate, "QUICK_VIDEOS", 2)
    assert evaluate.main(["m.xml", "--data", str(root), "--robustness", "jpeg,CS", "--quick", "--json", str(tmp_path / "m.json")]) == 0
    result = json.loads((tmp_path / "m.json").read_text())["robustness"]
    assert (result["videos"], result["real"], len(result["cells"])) == (4, 2, 6)
    assert result["sampled"] == "a sample of 4 of 6 videos, even over data sets and methods"
    assert result["rows"][0]["auc"][1] is None
    capsys.readouterr()
    for arguments in (["--robustness", "blurr"], ["--quick"], ["--robustness-log", "x"]):
        assert evaluate.main(["m.xml", "--data", str(root), *arguments]) == 2
        assert "robustness" in capsys.readouterr().err
