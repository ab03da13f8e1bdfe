"""The report in a browser: nothing serious by axe-core at both widths, light and dark; a PDF that holds it all."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from browser import axe_findings, browser
from judging import BrightnessEngine, GreenAnalyzer, check_page, empty_image, face_image, lossless_video, save

import fpg.cli.detect as detect


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of two videos, a picture, and two files without a verdict."""
    monkeypatch.setattr(detect, "load_engine", lambda path, **options: BrightnessEngine(warnings=("A warning.",)))
    monkeypatch.setattr(detect, "default_analyzer", GreenAnalyzer)
    folder = tmp_path / "in"
    lossless_video(folder / "a.mkv", [face_image(20 * i) for i in range(12)])
    lossless_video(folder / "b.mkv", [face_image(255 - 2 * i) for i in range(12)])
    save(folder / "photo.png", face_image(230))
    save(folder / "nobody.png", empty_image())
    (folder / "broken.mp4").write_bytes(b"x")
    page = tmp_path / "o.html"
    assert detect.main(["m.xml", str(folder), "--report", str(page), "--case", "2026-17 <x>", "--examiner", "A. Person"]) == 1
    return page


def test_the_worst_come_first_and_the_record_is_there(report: Path) -> None:
    text = check_page(report).text
    assert "2026-17 <x>" in text
    places = [text.index(name) for name in ("b.mkv", "photo.png", "a.mkv")]
    assert places == sorted(places)
    for part in ("Record", "SHA-256", "fpg-detect m.xml", "Content Credentials", "absence proves nothing"):
        assert part in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(report: Path, tmp_path: Path, width: int, dark: bool) -> None:
    browser()
    serious = [v for v in axe_findings(report, tmp_path, width, dark=dark) if v["impact"] in ("serious", "critical")]
    assert serious == []


def test_axe_sees_a_planted_fault(tmp_path: Path) -> None:
    browser()
    page = tmp_path / "bad.html"
    page.write_text(
        '<!DOCTYPE html><html lang="en"><title>x</title><body><main><h1>x</h1><img src="data:image/gif;base64,R0"></main></body></html>'
    )
    assert [v["id"] for v in axe_findings(page, tmp_path, 390)] == ["image-alt"]


@pytest.mark.slow
def test_a_pdf(report: Path, tmp_path: Path) -> None:
    browser()
    out = tmp_path / "o.pdf"
    assert detect.main(["m.xml", str(tmp_path / "in"), "--pdf", str(out), "--case", "2026-17"]) == 1
    data = out.read_bytes()
    assert data.startswith(b"%PDF-")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "o.html", "o.pdf"]
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", "-layout", str(out), "-"], capture_output=True, text=True, check=True).stdout
        for part in ("2026-17", "Record", "SHA-256", "b.mkv", "broken.mp4"):
            assert part in text


def test_without_a_browser_it_is_said_before_anything_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FPG_CHROMIUM", "no-such-browser")
    monkeypatch.setattr(detect, "load_engine", lambda path, **options: BrightnessEngine())
    assert detect.main(["m.xml", str(save(tmp_path / "a.png", face_image(9))), "--pdf", str(tmp_path / "o.pdf")]) == 2
    out, err = capsys.readouterr()
    assert "no-such-browser ($FPG_CHROMIUM) is not a program" in err
    assert "score" not in out
    monkeypatch.setenv("FPG_CHROMIUM", "false")
    assert detect.main(["m.xml", str(tmp_path / "a.png"), "--pdf", str(tmp_path / "o.pdf")]) in (1, 2)
    assert not (tmp_path / "o.pdf").exists()
