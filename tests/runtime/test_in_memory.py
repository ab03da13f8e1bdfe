"""Inputs that are no files get the judgement of the file with the same pixels."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, face_image, lossless_video, save
from PIL import Image

from fpg.data.images import read_image
from fpg.runtime.judgement import Judgement
from fpg.runtime.options import OptionFields, Options
from fpg.runtime.pipeline import VideoDetector


def judged(source: Any, **options: Any) -> Judgement:
    with VideoDetector(BrightnessEngine(), GreenAnalyzer, **options) as detector:
        return detector.judge(source)


OF_THE_FILE = ("input", "stream", "sha256", "bytes", "modified", "media", "c2pa")


def without_name(result: Judgement) -> dict[str, Any]:
    """What is said of the pixels alone."""
    told = {name: value for name, value in result.to_json().items() if name not in OF_THE_FILE}
    return {**told, "conditions": {**(told["conditions"] or {}), "bits_per_pixel": None}}


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    image = rng.integers(0, 255, (53, 71, 3), np.uint8)  # no 255: the green square is the face
    image[10:42, 20:52, 1] = 255
    return image


FORMS: dict[str, Callable[[Path], Any]] = {
    "array": read_image,
    "array that is not contiguous": lambda path: np.asfortranarray(read_image(path)),
    "bytes": Path.read_bytes,
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "picture, lazily": Image.open,
    "picture, made": lambda path: Image.fromarray(read_image(path)),
    "iterator": lambda path: iter([read_image(path)]),
    "list": lambda path: [Image.open(path)],
    "array of frames": lambda path: read_image(path)[None],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_picture_gets_the_judgement_of_its_png(form: str, pixels: np.ndarray, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", pixels)
    expected = judged(path)
    assert expected.error is None
    assert expected.frames_with_face == 1
    assert without_name(judged(FORMS[form](path))) == without_name(expected)


def test_the_order_of_channels_matters(pixels: np.ndarray) -> None:
    assert judged(pixels).score != judged(pixels[..., ::-1]).score


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
@pytest.mark.parametrize("loaded", [False, True])
def test_pictures_of_pillow_are_turned_as_their_files_are(orientation: int, suffix: str, loaded: bool, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(face_image(130, side=39)).save(path, exif=exif)
    picture = Image.open(path)
    if loaded:
        picture.load()
    assert without_name(judged(picture)) == without_name(judged(path)) == without_name(judged(path.read_bytes()))


def test_the_bytes_of_a_video_get_its_judgement_and_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = lossless_video(tmp_path / "v.mkv", [face_image(20 * i) for i in range(7)])
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    result = judged(video.read_bytes(), frames=4)
    assert result.input == "bytes"
    assert len(result.frames) == 4
    assert without_name(result) == without_name(judged(video, frames=4))
    assert not list(temporary.iterdir())


def test_frames_are_sampled_as_those_of_a_folder_and_an_iterator_is_read_once(tmp_path: Path) -> None:
    images = [face_image(20 * i) for i in range(9)]
    for number, image in enumerate(images):
        save(tmp_path / "frames" / f"{number}.png", image)
    for options in ({"frames": 4}, {"frames": None, "every": 3}):
        expected = without_name(judged(tmp_path / "frames", **options))
        assert without_name(judged(images, **options)) == expected
        assert without_name(judged(np.stack(images), **options)) == expected
    assert [f.index for f in judged(iter(images), frames=2).frames] == list(range(9))
    assert [f.index for f in judged((image for image in images), every=4).frames] == [0, 4, 8]


def test_what_cannot_be_read_is_a_judgement_with_an_error(pixels: np.ndarray) -> None:
    assert judged(b"").error_code == "empty"
    assert judged(b"%PDF-1.7 nothing to see").error_code == "not_media"
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    cut = judged(buffer.getvalue()[:-900])
    assert (cut.input, cut.score, cut.error_code) == ("bytes", None, "damaged")
    assert "/" not in (cut.error or "")  # no temporary path
    lazily = Image.open(io.BytesIO(buffer.getvalue()[:-900]))
    assert judged(lazily).error_code == "damaged"
    assert judged([]).error_code == "empty"
    bad = judged([pixels, pixels.astype(np.float32)])
    assert (bad.error_code, "frame 1: image: expected non-empty uint8" in (bad.error or "")) == ("invalid", True)


def test_what_is_no_input_is_the_callers_error(pixels: np.ndarray) -> None:
    with pytest.raises(TypeError, match="expected a path, bytes, an array, a picture or frames, got int"):
        judged(3)
    for array in (pixels / 255, pixels[..., 0], pixels[:0]):
        with pytest.raises(ValueError, match=r"expected non-empty uint8 \[H, W, 3\]"):
            judged(array)


def test_many_inputs_of_any_kind_in_order(pixels: np.ndarray, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", pixels)
    with VideoDetector(BrightnessEngine(), GreenAnalyzer, jobs=2) as detector:
        results = list(detector.judge_many([path, pixels, path.read_bytes(), Image.open(path)]))
    assert [r.input for r in results] == [str(path), "array", "bytes", "picture"]
    assert len({r.score for r in results}) == 1


def test_keyword_arguments_are_the_fields_of_options() -> None:
    assert list(OptionFields.__annotations__) == [field.name for field in dataclasses.fields(Options)]
    assert get_type_hints(OptionFields) == get_type_hints(Options)
