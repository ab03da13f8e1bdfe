"""The page in a real browser: Chromium, at a desk and on a telephone, by pointer and by keyboard, light and dark."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import makers
import pretending
import pytest
from browser import axe_script
from browser import browser as find_chromium
from serving import Running, serving

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
pytestmark = pytest.mark.slow
PATIENCE_MS = 60_000
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("spool") / "spool", pretending.load, limits=pretending_limits()) as running:
        yield running


def pretending_limits() -> Any:
    from fpg.serve.confine import Limits

    return Limits(memory=8 * 2**30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    installed = find_chromium()
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=installed, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, server: Running) -> Iterator[Any]:
    """A page of a browser without history; ends the test when it reports an error or asks for anything from elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    page = opened(context, server)
    yield page
    context.close()
    assert page.troubles == []


def opened(context: Any, server: Running) -> Any:
    page = context.new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(f"error: {error}"))
    page.on("console", lambda said: page.troubles.append(f"console: {said.text}") if "Content Security Policy" in said.text else None)
    page.on("request", lambda asked: None if asked.url.startswith((server.address, "blob:")) else page.troubles.append(asked.url))
    page.goto(server.address)
    sync_api.expect(page.locator("#judge")).to_contain_text("pretender", timeout=PATIENCE_MS)
    return page


def upload(page: Any, path: Path) -> None:
    page.locator("#file").set_input_files(str(path))


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true; asked from here, as the page may evaluate no text."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def title(page: Any, text: str) -> None:
    sync_api.expect(page.locator("#result-title")).to_contain_text(text, timeout=PATIENCE_MS)


def clip(folder: Path, start: bytes = b"") -> Path:
    """A video, or a file that begins with what the judge heeds."""
    path = folder / "clip.mp4"
    if start:
        path.write_bytes(start + bytes(1000))
    else:
        makers.write_video(path, 12, fps=10)
    return path


def test_upload_progress_and_result(page: Any, server: Running, tmp_path: Path) -> None:
    upload(page, clip(tmp_path))
    sync_api.expect(page.locator("#status")).to_contain_text(re.compile("frame [0-9]+ of 12.*score so far 0"))
    sync_api.expect(page.locator("#preview")).to_be_visible()
    until(page, "document.getElementById('preview').currentTime > 0")
    title(page, "clip.mp4: Moderate evidence of manipulation")
    assert page.evaluate("[document.activeElement.id, document.activeElement.className]") == ["result-title", "fake"]
    assert page.locator("#words").inner_text() == pretending.FINDING["text"]  # as text, not as markup
    assert page.locator("#warnings li").count() == 0  # limits stand in the words, once
    sync_api.expect(page.locator("#frame-caption")).to_contain_text("score 0.900")
    page.locator("#segments button").click()
    sync_api.expect(page.locator("#frame-caption")).to_contain_text("Frame 4 at 0.4 s")
    before = page.evaluate("document.getElementById('frame').toDataURL()")
    page.locator("#show-map").uncheck()
    until(page, f"document.getElementById('frame').toDataURL() !== {json.dumps(before)}")
    assert page.locator("#faces li").count() == 1
    assert page.locator("#history li").count() == 1


def test_several_files_are_all_sent_and_the_first_is_shown(page: Any, server: Running, tmp_path: Path) -> None:
    paths = [clip(tmp_path), tmp_path / "second.mp4", tmp_path / "third.mp4"]
    for path in paths[1:]:
        path.write_bytes(b"none" + bytes(1000))
    page.locator("#file").set_input_files([str(path) for path in paths])
    title(page, "clip.mp4: Moderate")
    sync_api.expect(page.locator("#history a")).to_have_text(["clip.mp4", "third.mp4", "second.mp4"])
    assert page.locator("#problem").is_hidden()
    page.get_by_role("link", name="third.mp4").click()
    title(page, "third.mp4: Not judged: no face found")


def test_a_model_without_calibration_stamps_nothing(page: Any, tmp_path: Path) -> None:
    upload(page, clip(tmp_path, b"uncalibrated"))
    title(page, "clip.mp4: Not calibrated, score 0.61")
    sync_api.expect(page.locator("#faces li")).to_have_count(1)
    assert page.locator("#result .real, #result .fake").count() == 0


def test_downloads(page: Any, server: Running, tmp_path: Path) -> None:
    upload(page, clip(tmp_path))
    title(page, "Moderate")
    with page.expect_download() as download:
        page.get_by_role("button", name="Result (JSON)").click()
    answer = json.loads(Path(download.value.path()).read_text())
    id = page.url.partition("#")[2]
    assert answer == server.client.job(id)["result"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    assert download.value.suggested_filename == "clip-report.html"
    assert "pretended" in Path(download.value.path()).read_text()
    page.locator("#record summary").click()
    assert "0" * 64 in page.locator("#facts").inner_text()


def test_a_file_without_a_face_is_an_error_in_words(page: Any, tmp_path: Path) -> None:
    upload(page, clip(tmp_path, b"none"))
    title(page, "Not judged: no face found")
    assert "no face was found" in page.locator("#words").inner_text()


def test_cancel(page: Any, server: Running, tmp_path: Path) -> None:
    upload(page, clip(tmp_path, b"slow"))
    sync_api.expect(page.locator("#status")).to_contain_text("of 12")
    page.get_by_role("button", name="Cancel").click()
    title(page, "Cancelled")
    assert server.client.job(page.url.partition("#")[2])["state"] == "cancelled"


def test_reload_in_the_middle(page: Any, tmp_path: Path) -> None:
    upload(page, clip(tmp_path, b"slow"))
    sync_api.expect(page.locator("#status")).to_contain_text("of 12")
    page.reload()
    sync_api.expect(page.locator("#status")).to_contain_text("of 12")
    title(page, "Moderate")
    page.reload()
    title(page, "Moderate")


def test_two_tabs(page: Any, server: Running, tmp_path: Path) -> None:
    other = opened(page.context, server)
    upload(page, clip(tmp_path, b"slow"))
    second = tmp_path / "second.mp4"
    second.write_bytes(b"none")
    upload(other, second)
    title(other, "second.mp4: Not judged")
    title(page, "clip.mp4: Moderate")
    for tab in (page, other):
        sync_api.expect(tab.locator("#history li")).to_have_count(2)
    page.locator("#history a", has_text="second.mp4").click()
    title(page, "second.mp4: Not judged")
    page.get_by_role("button", name="Forget second.mp4").click()
    sync_api.expect(other.locator("#history li")).to_have_count(1)
    assert other.troubles == []


def test_a_large_file(page: Any, server: Running, tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    with open(path, "wb") as file:
        file.truncate(300 * 2**20)
    upload(page, path)
    title(page, "large.mp4: Moderate")
    assert server.client.job(page.url.partition("#")[2])["bytes"] == 300 * 2**20


def test_a_file_above_the_limit_is_refused_in_words(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path / "spool", pretending.load, limits=pretending_limits(), upload_bytes=1_000_000) as server:
        context = browser.new_context()
        page = opened(context, server)
        (tmp_path / "large.mp4").write_bytes(bytes(3_000_000))
        upload(page, tmp_path / "large.mp4")
        sync_api.expect(page.locator("#problem")).to_contain_text(
            re.compile("large.mp4: (the file has more|The server cannot be reached, or aborted)")
        )
        context.close()


def test_the_camera(page: Any) -> None:
    page.get_by_role("button", name="Record with the camera").click()
    page.get_by_role("button", name="Start recording").click()
    page.wait_for_timeout(800)
    page.get_by_role("button", name="Stop and judge").click()
    title(page, re.compile(r"camera\.(webm|mp4): Moderate"))  # type: ignore[arg-type]
    assert page.evaluate("document.getElementById('camera-view').srcObject") is None


def test_by_keyboard_alone(page: Any, tmp_path: Path) -> None:
    path = clip(tmp_path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(str(path))
    title(page, "Moderate")
    page.locator("#timeline input").focus()
    page.keyboard.press("Home")
    sync_api.expect(page.locator("#frame-caption")).to_contain_text("Frame 0")
    page.keyboard.press("ArrowRight")
    sync_api.expect(page.locator("#frame-caption")).to_contain_text("Frame 1 ")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent || document.activeElement.id"))
    assert {"Result (JSON)", "Report (HTML)", "Record", "Forget", "show-map"} <= reached


def test_with_a_token(browser: Any, tmp_path: Path) -> None:
    token = "correct-horse-battery-staple"
    with serving(tmp_path / "spool", pretending.load, limits=pretending_limits(), token=token) as server:
        context = browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(server.address)
        page.locator("#token").fill(token)
        page.keyboard.press("Enter")
        sync_api.expect(page.locator("#judge")).to_contain_text("pretender")
        upload(page, clip(tmp_path))
        title(page, "Moderate")
        sync_api.expect(page.locator("#frame-caption")).to_contain_text("score 0.900")
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(browser: Any, server: Running, tmp_path: Path, scheme: str, width: int) -> None:
    axe_script()  # or the test is skipped
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)
    context.set_default_timeout(PATIENCE_MS)
    page = opened(context, server)
    page.locator("#options summary").click()
    found = violations(page)
    upload(page, clip(tmp_path))
    sync_api.expect(page.locator("#status")).to_contain_text("of 12")
    found += violations(page)
    title(page, "Moderate")
    sync_api.expect(page.locator("#faces li")).to_have_count(1)
    page.locator("#record summary").click()
    found += violations(page)
    context.close()
    assert found == []


def violations(page: Any) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(content=axe_script())
    answer = page.evaluate("axe.run()")
    return [f"{rule['id']}: {rule['help']}: {node['html']}" for rule in answer["violations"] for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off(browser: Any, server: Running, tmp_path: Path, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = opened(context, server)
    upload(page, clip(tmp_path))
    title(page, "Moderate")
    sync_api.expect(page.locator("#faces li")).to_have_count(1)
    page.locator("#record summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("FPG_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/page-{width}-{scheme}.png", full_page=True)
    context.close()
