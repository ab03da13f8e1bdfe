"""Decoding: the right frames, colours and times, and one clear reason for everything that cannot be read."""

from __future__ import annotations

import builtins
import functools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import makers
import numpy as np
import pytest
from PIL import Image

from fpg.common.errors import InputError, MissingDependencyError, UsageError
from fpg.data.seek import check_device, read_frames_torchcodec, read_needed_frames
from fpg.data.video import FrameCountError, map_frames, probe, read_frames, read_image, sample_indices

Reader = Callable[..., Iterator[tuple[int, float, np.ndarray]]]
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


@pytest.fixture(params=["whole", "needed", "torchcodec"])
def read(request: pytest.FixtureRequest) -> Reader:
    """Every way to the wanted frames; torchcodec on the CPU goes as it does on a GPU."""
    if request.param == "whole":
        return read_frames
    if request.param == "needed":
        return read_needed_frames
    try:
        check_device("cpu")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    return functools.partial(read_frames_torchcodec, device="cpu")


def barcode(index: int, width: int = 128, height: int = 96) -> np.ndarray:
    """A frame that spells its index in eight black or white bars."""
    image = np.full((height, width, 3), 128, np.uint8)
    for bit in range(8):
        image[:, bit * 16 : (bit + 1) * 16] = 255 * (index >> bit & 1)
    return image


def spelled(image: np.ndarray) -> int:
    return sum(int(image[40:56, bit * 16 + 4 : bit * 16 + 12].mean() > 128) << bit for bit in range(8))


@pytest.mark.parametrize(
    ("n", "count", "expected"),
    [(0, 32, []), (1, 32, [0]), (3, 32, [0, 1, 2]), (100, 4, [0, 33, 66, 99]), (10, 1, [0]), (11, 4, [0, 3, 6, 10])],
)
def test_sample_indices(n: int, count: int, expected: list[int]) -> None:
    assert sample_indices(n, count) == expected


def test_sample_indices_as_published() -> None:
    for n in (32, 33, 97, 300, 12345):
        assert sample_indices(n, 32) == [int(v) for v in np.linspace(0, n - 1, 32)]


def test_sample_indices_refuses_no_frames() -> None:
    with pytest.raises(ValueError, match="count"):
        sample_indices(10, 0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("b.mp4", {"options": {"bf": "3", "g": "12"}}),
        ("c.mkv", {}),
        ("d.avi", {"codec": "mpeg4"}),
        ("e.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "2M"}}),
        ("f.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
        ("g.ts", {}),
        ("h.mov", {"codec": "mjpeg", "pixels": "yuvj420p"}),
        ("i.mp4", {"pixels": "yuv420p10le"}),
        ("j.mp4", {"options": {"g": "12", "bf": "3", "x264-params": "open-gop=1"}}),
        ("k.mpg", {"codec": "mpeg2video"}),
    ],
)
def test_wanted_frames_are_the_right_ones(tmp_path: Path, read: Reader, name: str, options: dict[str, object]) -> None:
    path = makers.write_video(tmp_path / name, [barcode(i) for i in range(50)], **options)  # type: ignore[arg-type]
    info = probe(path)
    assert (info.frames, info.width, info.height) == (50, 128, 96)
    assert info.fps == pytest.approx(25, rel=0.02)
    assert info.duration_s == pytest.approx(2, abs=0.1)
    wanted = [49, 0, 7, 7, 31]
    result = list(read(path, wanted))
    assert [index for index, _, _ in result] == [0, 7, 31, 49]
    assert [spelled(image) for _, _, image in result] == [0, 7, 31, 49]
    assert [time for _, time, _ in result] == pytest.approx([0, 0.28, 1.24, 1.96], abs=0.03)
    assert all(image.dtype == np.uint8 and image.shape == (96, 128, 3) and image.flags.c_contiguous for _, _, image in result)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"codec": "libsvtav1", "options": {"preset": "8", "g": "20", "svtav1-params": "lookahead=20:lp=1"}}),
        ("b.mp4", {"options": {"x264-params": "intra-refresh=1:keyint=20"}}),  # no frame after the first can be decoded by itself
        ("c.mp4", {"options": {"g": "12", "bf": "3", "x264-params": "open-gop=1"}}),
    ],
)
def test_any_wanted_frames_are_those_of_a_whole_pass(
    tmp_path: Path, read: Reader, rng: np.random.Generator, name: str, options: dict[str, object]
) -> None:
    if options.get("codec", "libx264") not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {options['codec']}")
    path = makers.write_video(tmp_path / name, [barcode(i) for i in range(60)], **options)  # type: ignore[arg-type]
    whole = {index: (time, image) for index, time, image in read_frames(path, range(60))}
    assert [spelled(image) for _, image in whole.values()] == list(range(60))
    for count in (1, 2, 3, 6, 6):
        wanted = sorted(rng.choice(np.arange(1, 60), count, replace=False).tolist())
        found = list(read(path, wanted))
        assert [index for index, _, _ in found] == wanted
        for index, time, image in found:
            assert time == pytest.approx(whole[index][0], abs=1e-6), wanted
            assert spelled(image) == index, wanted


@pytest.mark.parametrize("space", ["itu709", "itu601"])
@pytest.mark.parametrize("colour", [(200, 30, 40), (20, 180, 60), (30, 40, 210), (128, 128, 128)])
def test_tagged_colours_come_back(tmp_path: Path, space: str, colour: tuple[int, int, int]) -> None:
    path = makers.write_video(tmp_path / "a.mp4", [np.full((64, 64, 3), colour, np.uint8)] * 3, colorspace=space, options={"crf": "1"})
    (_, _, image), *_ = read_frames(path, [1])
    assert np.abs(image.astype(int) - colour).max() <= 4


def test_full_range_comes_back(tmp_path: Path) -> None:
    path = makers.write_video(tmp_path / "a.mov", [np.full((64, 64, 3), v, np.uint8) for v in (0, 255)], codec="mjpeg", pixels="yuvj420p")
    dark, bright = (image for _, _, image in read_frames(path, [0, 1]))
    assert dark.max() <= 2
    assert bright.min() >= 253


def test_titles_that_are_not_utf8_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        out.metadata["title"] = "Cafe in XXXX"
        stream = out.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24").reformat(format="bgr0")))
        out.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"XXXX", b"K\xf6ln"))
    assert probe(path).frames == 1


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_metadata_is_applied(tmp_path: Path, read: Reader, rotation: int) -> None:
    frame = makers.picture(96, 64, face=(8, 8, 24, 24))
    path = makers.write_video(tmp_path / "a.mp4", [frame] * 3, rotation=rotation, options={"crf": "1"})
    (_, _, image), *_ = read(path, [1])
    assert np.abs(image.astype(int) - np.rot90(frame, rotation // 90)).mean() < 8
    info = probe(path)
    assert (info.height, info.width) == image.shape[:2]


def test_variable_frame_rate_keeps_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.54, 2.0, 2.04]
    path = makers.write_video(tmp_path / "a.mkv", [barcode(i) for i in range(6)], times=times)
    assert [time for _, time, _ in read_frames(path, range(6))] == pytest.approx(times, abs=0.002)


def test_header_that_promises_too_few_frames(tmp_path: Path) -> None:
    path = makers.write_video(tmp_path / "a.avi", [barcode(i) for i in range(40)], codec="mjpeg", pixels="yuvj420p")
    data = bytearray(path.read_bytes())
    at = data.index(b"avih") + 8 + 16  # dwTotalFrames
    data[at : at + 4] = (7).to_bytes(4, "little")
    at = data.index(b"strh") + 8 + 32  # dwLength
    data[at : at + 4] = (7).to_bytes(4, "little")
    path.write_bytes(data)
    assert probe(path).frames == 40
    assert [spelled(image) for _, _, image in read_frames(path, [39])] == [39]


def test_asking_past_the_end_names_the_count(tmp_path: Path) -> None:
    path = makers.write_video(tmp_path / "a.mp4", 10)
    with pytest.raises(FrameCountError, match="ends after 10 frames, frame 12") as caught:
        list(read_frames(path, [3, 12]))
    assert caught.value.decoded == 10


def test_map_frames_counts_what_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = makers.write_video(tmp_path / "a.mp4", [barcode(i) for i in range(20)])
    honest = probe(path)
    # A codec with hidden frames has more packets than frames.
    monkeypatch.setattr("fpg.data.video.probe", lambda p: type(honest)(22, 25.0, 128, 96, 0.8))
    assert map_frames(path, 5, lambda i, t, image: (i, spelled(image))) == [(i, i) for i in sample_indices(20, 5)]
    monkeypatch.setattr("fpg.data.video.probe", lambda p: type(honest)(40, 25.0, 128, 96, 0.8))
    with pytest.raises(InputError, match="only 20 of 40 frames decode"):
        map_frames(path, 5, lambda i, t, image: i)


def consume(path: Path) -> None:
    map_frames(path, 8, lambda i, t, image: None)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.mp4: no such file"):
        consume(tmp_path / "no.mp4")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        consume(tmp_path)


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"is empty \(0 bytes\)"):
        consume(tmp_path / "a.mp4")


@pytest.mark.parametrize("content", [np.random.default_rng(0).bytes(5000), b"#EXTM3U\n#EXTINF:1,\nother.ts\n", b"just some text\n" * 50])
def test_not_a_video(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match="is not a readable video"):
        consume(tmp_path / "a.mp4")


def test_playlists_are_not_followed(tmp_path: Path) -> None:
    makers.write_video(tmp_path / "other.ts", 5)
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="is not a readable video"):
        consume(tmp_path / "a.m3u8")


def test_audio_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds sound but no video stream"):
        consume(makers.write_sound(tmp_path / "a.mp4"))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.mov"])
def test_zero_frames(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"holds .*no frame"):
        consume(makers.write_video(tmp_path / name, 0))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"container": {"movflags": "faststart"}, "sound": True}),
        ("b.mkv", {}),
        ("c.avi", {"codec": "mpeg4"}),
        ("d.webm", {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}),
        ("e.mp4", {}),  # the index is at the end: nothing is left to open
    ],
)
@pytest.mark.parametrize("fraction", [0.35, 0.6, 0.8])
def test_truncated(tmp_path: Path, name: str, options: dict[str, object], fraction: float) -> None:
    path = makers.write_video(tmp_path / name, 100, **options)  # type: ignore[arg-type]
    consume(path)
    with pytest.raises(InputError, match=r"truncated|damaged"):
        consume(makers.truncate(path, fraction))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_damaged_in_the_middle(tmp_path: Path, name: str, codec: str) -> None:
    path = makers.write_video(tmp_path / name, 100, codec=codec, container={"movflags": "faststart"} if name.endswith("mp4") else None)
    with pytest.raises(InputError, match=r"damaged|cannot be decoded"):
        consume(makers.damage(path, 0.5))


def test_huge_frames_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = makers.write_video(tmp_path / "a.mp4", 3)
    monkeypatch.setattr("fpg.data.video.MAX_VIDEO_PIXELS", 96 * 80 - 1)
    with pytest.raises(InputError, match=r"too large|cannot be decoded|not a readable"):
        consume(path)


def test_cover_pictures_are_not_video(tmp_path: Path) -> None:
    sound = makers.write_sound(tmp_path / "plain.mp4")
    path = tmp_path / "a.mp4"
    with av.open(str(sound)) as source, av.open(str(path), "w") as out:
        audio = out.add_stream_from_template(source.streams.audio[0])
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 80, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = audio
                out.mux(packet)
        out.mux(cover.encode(av.VideoFrame.from_ndarray(makers.picture(), format="rgb24")))
    with pytest.raises(InputError, match="holds sound but no video stream"):
        consume(path)


# --- images


def test_image_modes_become_rgb(tmp_path: Path) -> None:
    colour = makers.picture()
    grey = colour[..., 1]
    Image.fromarray(colour).save(tmp_path / "rgb.png")
    Image.fromarray(np.dstack([colour, grey])).save(tmp_path / "rgba.png")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "grey16.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.png"), colour)
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), colour)
    for name in ("grey.png", "grey16.png"):
        np.testing.assert_array_equal(read_image(tmp_path / name), np.repeat(grey[..., None], 3, 2))


def test_sixteen_bit_colour_becomes_eight(tmp_path: Path) -> None:
    import cv2

    colour = makers.picture()
    cv2.imwrite(str(tmp_path / "a.png"), colour[..., ::-1].astype(np.uint16) * 257)
    assert np.abs(read_image(tmp_path / "a.png").astype(int) - colour).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    upright = makers.picture(96, 64, face=(8, 8, 24, 24))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright)


def test_float_image_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="floating-point"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("claimed", [(64000, 64000), (30000, 5000)])
def test_images_that_claim_too_much(tmp_path: Path, claimed: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="too large"):
            read_image(makers.write_png_that_lies(tmp_path / "a.png", claimed))


def test_bomb(tmp_path: Path) -> None:
    path = makers.write_bomb(tmp_path / "a.png", 12000)
    assert path.stat().st_size < 200_000
    with pytest.raises(InputError, match="too large: 12000 x 12000"):
        read_image(path)


def test_images_that_hold_less_than_they_claim(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="less than the 300 x 200 pixels that it claims"):
        read_image(makers.write_png_that_lies(tmp_path / "a.png", (300, 200)))
    Image.fromarray(makers.picture()).save(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 2] = (400).to_bytes(2, "big")  # the height
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(InputError, match="less than the 96 x 400 pixels that it claims"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_black_images_are_complete(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (33, 21))
    for suffix in ("jpg",) if mode == "CMYK" else ("png", "jpg") if mode in ("1", "L", "RGB") else ("png",):
        image.save(tmp_path / f"a.{suffix}")
        assert read_image(tmp_path / f"a.{suffix}").shape == (21, 33, 3)


def test_interlaced_black_png_is_complete(tmp_path: Path) -> None:
    rows = b"".join(b"\0" * (1 + -(-(33 - x) // dx)) * -(-(21 - y) // dy) for x, y, dx, dy in ADAM7)
    path = makers.write_png_that_lies(tmp_path / "a.png", (33, 21), data=rows, interlaced=True)
    assert not read_image(path).any()
    with pytest.raises(InputError, match=r"truncated"):
        read_image(makers.write_png_that_lies(tmp_path / "b.png", (33, 21), data=rows[:-40], interlaced=True))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif"])
def test_truncated_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(makers.picture(200, 200)).save(path)
    read_image(path)
    with pytest.raises(InputError, match=r"damaged|truncated"):
        read_image(makers.truncate(path, 0.5))


def test_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match="is empty"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(InputError, match="not a readable image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif", "mp4", "mkv", "avi"])
def test_damaged_bytes_end_in_a_reason_or_an_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    video = suffix in ("mp4", "mkv", "avi")
    if video:
        makers.write_video(path, 12, codec="mpeg4" if suffix == "avi" else "libx264")
    else:
        Image.fromarray(makers.picture()).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(20261123)
    for _ in range(15):
        data = bytearray(whole)
        for at in rng.integers(0, rng.choice([100, len(data)]), rng.integers(1, 8)):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        text = ""
        try:
            shapes = map_frames(path, 4, lambda i, t, image: image.shape) if video else [read_image(path).shape]
        except InputError as error:
            shapes, text = [], str(error)
        assert (text == "") == bool(shapes)
        assert all(len(shape) == 3 and shape[2] == 3 for shape in shapes)
        assert not text or (text.startswith(f"{path}: ") and "\n" not in text)


def test_seeking_sees_damage_only_where_it_decodes(tmp_path: Path, read: Reader) -> None:
    path = makers.write_video(tmp_path / "a.mp4", [barcode(i) for i in range(120)], options={"g": "10", "bf": "0"})
    makers.damage(path, at=0.5)
    if read is read_frames:
        with pytest.raises(InputError, match=r"a\.mp4: (cannot be decoded|is damaged)"):
            list(read(path, [0, 119]))
    else:
        assert [spelled(image) for _, _, image in read(path, [0, 119])] == [0, 119]
        with pytest.raises(InputError, match=r"a\.mp4: (cannot be decoded|is damaged)"):
            list(read(path, range(120)))


def test_what_cannot_be_sought(tmp_path: Path, read: Reader) -> None:
    path = makers.write_video(tmp_path / "a.mp4", 10)
    with pytest.raises(FrameCountError, match="ends after 10 frames, frame 12 was asked for"):
        list(read(path, [3, 12]))
    with pytest.raises(ValueError, match="indices"):
        list(read(path, [-1, 3]))
    assert list(read(path, [])) == []
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 99)
    with pytest.raises(InputError, match=r"broken\.mp4"):
        list(read(broken, [0]))


def test_seeking_without_torchcodec_or_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    path = makers.write_video(tmp_path / "a.mp4", 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises((UsageError, MissingDependencyError), match=r"torch finds none here|torchcodec"):
        list(read_frames_torchcodec(path, [0], device="cuda"))
    real = builtins.__import__

    def absent(name: str, *rest: object) -> object:
        if name.startswith("torchcodec"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingDependencyError, match=r"needs torchcodec \(No module named 'torchcodec'\): pip install 'torch>="):
        list(read_frames_torchcodec(path, [0]))


@pytest.mark.cuda
def test_frames_decoded_on_a_gpu(tmp_path: Path) -> None:
    pytest.importorskip("torchcodec", reason="torchcodec is not installed")
    path = makers.write_video(tmp_path / "a.mp4", [barcode(i, 256, 192) for i in range(50)])
    assert [spelled(image) for _, _, image in read_frames_torchcodec(path, [49, 0, 7, 31], device="cuda")] == [0, 7, 31, 49]
