"""Videos of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from corpus import parts
from corpus.case import CUT, Case, Write, then
from fpg.data.orientation import undone, upright


def video(
    count: int = 12,
    *,
    orientation: int = 1,
    angle: float = 0.0,
    mirrored: bool = False,
    squeeze: tuple[int, int] = (1, 1),
    other: Sequence[int] = (),
    odd: bool = False,
    **options: Any,
) -> Write:
    """A video of a scene that does not move, stored so that the display matrix brings it upright.

    Args:
        orientation: EXIF's number of the matrix. angle: degrees counter-clockwise in place of it; `mirrored` left-right before.
        squeeze: pixel aspect; the scene is stored that much narrower, or lower.
        other: frames that show the scene's negative in its place.
        odd: without the last row and column.
        options: of `_encode`.
    """

    def write(path: Path, image: np.ndarray) -> None:
        stored = upright(without_last(image) if odd else image, undone(orientation))
        across, down = squeeze
        if squeeze != (1, 1):
            height, width = stored.shape[:2]
            size = (width * down // across, height) if across > down else (width, height * across // down)
            stored = cv2.resize(stored, size, interpolation=cv2.INTER_AREA)
        images = [255 - stored if i in other else stored for i in range(count)]
        _encode(path, images, display_matrix(orientation, angle, mirrored), squeeze, **options)

    return write


def display_matrix(orientation: int, angle: float, mirrored: bool = False) -> list[int] | None:
    """The nine numbers of a display matrix."""
    one, turn = 1 << 16, np.radians(angle)
    flags = {1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1)}
    flags |= {5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0)}
    a, b, c, d = flags[orientation] if not angle else (np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn))
    if (orientation, angle) == (1, 0):
        return None
    if mirrored:
        a, b = -a, -b
    return [round(a * one), round(b * one), 0, round(c * one), round(d * one), 0, 0, 0, 1 << 30]


def _encode(
    path: Path,
    images: Sequence[np.ndarray],
    matrix: list[int] | None = None,
    aspect: tuple[int, int] = (1, 1),
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    tags: tuple[int, int, int] | None = None,
    colours: tuple[str, int, bool] | None = None,
    preview: str | None = None,
    times: Sequence[float] | None = None,
    container: dict[str, str] | None = None,
) -> None:
    """Writes a file.

    Args:
        tags: primaries, transfer, matrix of HDR. colours: of SDR: PyAV's name of the matrix, its number, whether the range is full.
        preview: `track` puts a small stream before the video, `large` a larger one that is not the default, `cover` an attached picture.
        times: of the frames, in seconds.
        container: options of the muxer.
    """
    with av.open(str(path), "w", options=container or {}) as out:
        if preview:
            small: Any = out.add_stream("mjpeg", rate=25)
            small.width, small.height, small.pix_fmt = (640, 480, "yuvj420p") if preview == "large" else (64, 48, "yuvj420p")
            flags = av.stream.Disposition
            small.disposition = flags.attached_pic if preview == "cover" else 0
        stream: Any = out.add_stream(codec, rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        stream.options = {"crf": "10"} | (options or {}) if codec.startswith("libx26") else options or {}
        context = stream.codec_context
        if aspect != (1, 1):
            stream.sample_aspect_ratio = context.sample_aspect_ratio = Fraction(*aspect)
        if matrix:
            stream.set_display_matrix(matrix)
        if tags:
            context.color_primaries, context.color_trc, context.colorspace = tags
        if colours:
            context.colorspace, context.color_range = colours[1], 2 if colours[2] else 1
        if times is not None:
            stream.time_base = context.time_base = _MILLISECOND
        if preview:
            stream.disposition = av.stream.Disposition.default
            white = np.full((small.height, small.width, 3), 255, np.uint8)
            frame = av.VideoFrame.from_ndarray(white, format="rgb24").reformat(format="yuvj420p")
            out.mux([*small.encode(frame), *small.encode()])
        for number, image in enumerate(images):
            frame = _frame(image, pixels, tags, colours)
            if times is not None:
                frame.pts, frame.time_base = round(1000 * times[number]), _MILLISECOND
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def _frame(image: np.ndarray, pixels: str, tags: tuple[int, int, int] | None, colours: tuple[str, int, bool] | None) -> Any:
    if tags is None:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        if not colours:
            return frame
        return frame.reformat(format=pixels, dst_colorspace=colours[0], dst_color_range="JPEG" if colours[2] else "MPEG")
    frame = av.VideoFrame(image.shape[1], image.shape[0], pixels)
    for plane, values in zip(frame.planes, _hdr_planes(image, tags), strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        rows[:, : plane.width] = values
        plane.update(rows.tobytes())
    frame.color_primaries, frame.color_trc, frame.colorspace = tags
    return frame


def _hdr_planes(image: np.ndarray, tags: tuple[int, int, int]) -> list[np.ndarray]:
    """10-bit 4:2:0 of an SDR picture, white at 203 cd/m2 (PQ) or 75 % (HLG); primaries BT.2020."""
    light = (image / 255.0) ** 2.2 @ np.array([[0.6274, 0.0691, 0.0164], [0.3293, 0.9195, 0.0880], [0.0433, 0.0114, 0.8956]])
    if tags[1] == 16:
        power = (np.clip(light, 0, 1) * 203 / 10000) ** (2610 / 16384)
        signal = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    elif tags[1] == 18:
        scaled = np.clip(light, 0, 1) * 0.26496
        signal = np.where(
            scaled <= 1 / 12, np.sqrt(3 * scaled), 0.17883277 * np.log(np.maximum(12 * scaled - 0.28466892, 1e-9)) + 0.55991073
        )
    else:
        signal = np.clip(light, 0, 1) ** (1 / 2.2)
    luma = signal @ np.array([0.2627, 0.6780, 0.0593])
    blue, red = (signal[..., 2] - luma) / 1.8814, (signal[..., 0] - luma) / 1.4746
    half = (luma.shape[1] // 2, luma.shape[0] // 2)
    chroma = [cv2.resize(c, half, interpolation=cv2.INTER_AREA) for c in (blue, red)]
    return [np.rint(64 + 876 * luma).astype(np.uint16), *(np.rint(512 + 896 * c).astype(np.uint16) for c in chroma)]


def mirrored_and_turned_by(angle: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: turned_by(angle)(np.ascontiguousarray(image[:, ::-1]))


def with_edits(*edits: tuple[float, float | None] | tuple[float, float | None, int]) -> Callable[[bytes], bytes]:
    return lambda data: parts.edited(data, edits)


def without_last(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:-1, :-1])


def joined(path: Path, image: np.ndarray) -> None:
    """Two transport streams, one behind the other."""
    video()(path, image)
    first = path.read_bytes()
    path.write_bytes(first + parts.discontinuous(first))


def turned_by(angle: float) -> Callable[[np.ndarray], np.ndarray]:
    """The scene turned counter-clockwise, on black, as large as it takes."""

    def show(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        c, s = abs(np.cos(np.radians(angle))), abs(np.sin(np.radians(angle)))
        tall, wide = round(s * width + c * height), round(c * width + s * height)
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
        matrix[:, 2] += ((wide - width) / 2, (tall - height) / 2)
        return cv2.warpAffine(image, matrix, (wide, tall))

    return show


_MILLISECOND = Fraction(1, 1000)
UNEVEN = [0, 0.04, 0.05, 0.25, 0.3, 0.31, 0.6, 1.0, 1.04, 1.5, 1.52, 2.0]
"""Times of a variable frame rate."""
DEEP: dict[str, Any] = {"codec": "libx265", "pixels": "yuv420p10le"}

VIDEOS = [
    Case("plain.mp4", "MP4", "H.264", video()),
    *[Case(f"o{o}.mp4", "MP4", f"display matrix, orientation {o}", video(orientation=o)) for o in range(2, 9)],
    Case("angle.mp4", "MP4", "display matrix, 30 degrees", video(angle=30), turned_by(30), tolerance=8, compared=False),
    Case(
        "mirror.mp4",
        "MP4",
        "display matrix, mirrored and 30 degrees",
        video(angle=30, mirrored=True),
        mirrored_and_turned_by(30),
        8,
        compared=False,
    ),
    Case("roll.mkv", "Matroska", "turned by its projection", video(orientation=6)),
    Case("narrow.mp4", "MP4", "pixel aspect 1:2", video(squeeze=(1, 2)), tolerance=8),
    Case("narrowturned.mp4", "MP4", "pixel aspect 4:3, orientation 6", video(orientation=6, squeeze=(4, 3)), tolerance=8),
    Case("wide.mkv", "Matroska", "pixel aspect 2:1", video(squeeze=(2, 1)), tolerance=8),
    Case("preview.mp4", "MP4", "a preview before the video", video(preview="track"), warning="2 video streams"),
    Case("large.mp4", "MP4", "a larger stream that is not the default", video(preview="large"), warning="2 video streams", compared=False),
    Case("cover.mp4", "MP4", "a cover", video(preview="cover")),
    Case("start.mp4", "MP4", "edit list: starts late", then(video(), with_edits((0.5, None), (0.48, 0)))),
    Case(
        "trimmed.mp4",
        "MP4",
        "edit list: begins and ends inside",
        then(video(24, other=[*range(6), *range(18, 24)]), with_edits((0.48, 0.24))),
        frames=12,
    ),
    Case(
        "left_out.mp4",
        "MP4",
        "edit list: leaves a part out",
        then(video(24, other=range(6, 18)), with_edits((0.24, 0), (0.24, 0.72))),
        frames=12,
    ),
    Case("dwell.mp4", "MP4", "edit list: dwells on a frame", then(video(), with_edits((0.5, 0, 0), (0.48, 0)))),
    Case("negative.mp4", "MP4", "decoding times below zero", video(container={"movflags": "+negative_cts_offsets", "use_editlist": "0"})),
    Case("fragments.mp4", "MP4", "fragmented", video(container={"movflags": "frag_keyframe+empty_moov+default_base_moof"})),
    Case("index_first.mp4", "MP4", "index before the pictures", video(container={"movflags": "faststart"})),
    Case("uneven.mp4", "MP4", "variable frame rate", video(times=UNEVEN)),
    Case("uneven.mkv", "Matroska", "variable frame rate", video(times=UNEVEN)),
    Case("pq.mp4", "MP4", "HDR: PQ", video(**DEEP, tags=(9, 16, 9)), warning="HDR (PQ)", compared=False),
    Case("hlg.mp4", "MP4", "HDR: HLG", video(**DEEP, tags=(9, 18, 9)), warning="HDR (HLG)", compared=False),
    Case(
        "pq_turned.mkv",
        "Matroska",
        "HDR: PQ, pixel aspect 2:1",
        video(**DEEP, tags=(9, 16, 9), squeeze=(2, 1)),
        tolerance=8,
        warning="HDR (PQ)",
        compared=False,
    ),
    Case("wide_gamut.mp4", "MP4", "BT.2020, SDR", video(**DEEP, tags=(9, 14, 9)), compared=False),
    Case("bt709.mp4", "MP4", "BT.709", video(colours=("itu709", 1, False))),
    Case("bt470bg.mp4", "MP4", "BT.470 BG", video(colours=("itu601", 5, False))),
    Case("smpte240m.mp4", "MP4", "SMPTE 240M", video(colours=("smpte240m", 7, False))),
    Case("full.mp4", "MP4", "BT.709, full range", video(colours=("itu709", 1, True))),
    Case("fulljpeg.mp4", "MP4", "BT.601, full range, 10 bits", video(pixels="yuv420p10le", colours=("itu601", 6, True))),
    Case("ten.mp4", "MP4", "10 bits", video(pixels="yuv420p10le")),
    Case("ten422.mkv", "Matroska", "10 bits, 4:2:2", video(pixels="yuv422p10le")),
    Case("444.mkv", "Matroska", "4:4:4", video(pixels="yuv444p")),
    Case("rgb.mkv", "Matroska", "FFV1, RGB", video(codec="ffv1", pixels="bgr0"), tolerance=0),
    Case("hevc.mov", "QuickTime", "HEVC", video(codec="libx265")),
    Case("jpeg.mov", "QuickTime", "Motion JPEG", video(codec="mjpeg", pixels="yuvj420p")),
    Case(
        "interlaced.mpg",
        "MPEG-PS",
        "interlaced",
        video(codec="mpeg2video", options={"flags": "+ildct+ilme", "b": "4M"}),
        warning="interlaced",
    ),
    Case("bottom.mp4", "MP4", "interlaced, second field first", video(options={"x264-params": "bff=1"}), warning="interlaced"),
    Case("top.ts", "MPEG-TS", "interlaced, first field first", video(options={"x264-params": "tff=1"}), warning="interlaced"),
    Case("mpeg1.mpg", "MPEG-PS", "MPEG-1", video(codec="mpeg1video", options={"b": "4M"})),
    Case("reordered.avi", "AVI", "H.264 with B frames: no times", video(24, options={"bf": "3", "g": "12"})),
    Case("old.avi", "AVI", "MPEG-4 part 2", video(codec="mpeg4", options={"b": "4M"})),
    Case("no_index.avi", "AVI", "without its index", then(video(codec="mpeg4", options={"b": "4M"}), parts.without_index)),
    Case("jpeg.avi", "AVI", "Motion JPEG", video(codec="mjpeg", pixels="yuvj420p")),
    Case("av1.mp4", "MP4", "AV1", video(codec="libsvtav1", options={"preset": "10", "crf": "10"})),
    Case("prores.mov", "QuickTime", "ProRes, 10 bits 4:2:2", video(codec="prores_ks", pixels="yuv422p10le")),
    Case("old.flv", "Flash video", "FLV1", video(codec="flv", options={"b": "4M"})),
    Case("plain.flv", "Flash video", "H.264", video()),
    Case("plain.wmv", "ASF", "WMV 8", video(codec="wmv2", options={"b": "4M"})),
    Case("phone.3gp", "3GP", "MPEG-4 part 2", video(codec="mpeg4", options={"b": "4M"})),
    Case("plain.mxf", "MXF", "MPEG-2", video(codec="mpeg2video", options={"b": "4M"})),
    Case("vp9.webm", "WebM", "VP9", video(codec="libvpx-vp9", options={"deadline": "realtime", "b": "2M"})),
    Case(
        "odd.webm", "WebM", "VP9, odd sides", video(codec="libvpx-vp9", options={"deadline": "realtime", "b": "2M"}, odd=True), without_last
    ),
    Case("odd.mkv", "Matroska", "4:2:2, odd sides", video(codec="ffv1", pixels="yuv422p", odd=True), without_last),
    Case("alpha.mkv", "Matroska", "4:2:0, alpha", video(codec="ffv1", pixels="yuva420p")),
    Case("deeprgb.mkv", "Matroska", "RGB, 10 bits", video(codec="ffv1", pixels="gbrp10le"), tolerance=1),
    Case("vp8.webm", "WebM", "VP8", video(codec="libvpx", options={"b": "2M"})),
    Case("plain.ogv", "Ogg", "VP8", video(30, codec="libvpx", options={"b": "2M"})),
    Case("cut.ogv", "Ogg", "truncated", then(video(60, codec="libvpx", options={"b": "2M"}), lambda d: d[: 7 * len(d) // 10]), refused=CUT),
    Case("plain.ts", "MPEG-TS", "H.264", video()),
    Case("two.ts", "MPEG-TS", "two parts, the second with a clock of its own", joined, warning="times that do not rise", frames=24),
    Case("plain.m2ts", "MPEG-TS", "time codes (M2TS)", video()),
    Case("zeros.ts", "MPEG-TS", "zeros behind it", then(video(), lambda d: d + bytes(70_000)), warning="bytes that are zero"),
    Case("animation.gif", "GIF", "animation", video(codec="gif", pixels="rgb8"), tolerance=25),
]
