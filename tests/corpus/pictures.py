"""A corpus of small files of every kind that cameras, phones and messengers write, each with the picture that a good player shows.

`python tests/corpus.py FOLDER` writes it. Files that cannot be read right are part of it: they have a reason in place of a picture.
"""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image, ImageCms

from fpg.data.orientation import undone, upright

HEIGHT, WIDTH = 120, 160


def scene(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """uint8 [H, W, 3]: smooth colours without any symmetry, so that every turn and mirror shows."""
    y, x = np.mgrid[:height, :width] / np.array([height, width], float).reshape(2, 1, 1)
    image = np.stack([60 + 120 * x, 70 + 100 * y, 160 - 90 * x * y], -1)
    image[height // 8 : height // 3, width // 8 : width // 2] = (200, 90, 60)
    return cv2.GaussianBlur(image.astype(np.uint8), (0, 0), 2)


@dataclass(frozen=True)
class Case:
    """One file of the corpus."""

    name: str
    """Its file name."""
    format: str
    """For the table in the docs."""
    kind: str
    write: Callable[[Path, np.ndarray], object] = field(repr=False)
    """Writes the file for a scene."""
    shown: Callable[[np.ndarray], np.ndarray] = field(repr=False, default=lambda image: image)
    """The scene as it is to be shown."""
    tolerance: float = 6.0
    """Mean difference that the coding may make."""
    refused: str | None = None
    """Part of the reason, where it must not be read."""
    cpp_refused: str | None = None
    """Where only the C++ runtime may not read it."""
    warning: str | None = None
    """Part of a warning that must come."""


def exif(value: int | bytes, kind: int = 3, big: bool = False) -> bytes:
    """An EXIF block whose orientation has this TIFF type (2 ASCII, 3 SHORT, 4 LONG) and value."""
    order = ">" if big else "<"
    if isinstance(value, bytes):
        payload = value.ljust(4, b"\0")
    else:
        payload = struct.pack(order + {3: "HH", 4: "I"}[kind], *((value, 0) if kind == 3 else (value,)))
    count = len(value) if isinstance(value, bytes) else 1
    head = b"Exif\0\0" + (b"MM\0*" if big else b"II*\0") + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, count)
    return head + payload + bytes(4)


def picture(mode: str = "RGB", orientation: int = 1, **options: Any) -> Callable[[Path, np.ndarray], object]:
    """Writes a picture by Pillow, its pixels stored so that the orientation brings the scene upright."""

    def write(path: Path, image: np.ndarray) -> None:
        stored = Image.fromarray(upright(image, undone(orientation))).convert(mode)
        if path.suffix == ".heic":
            import pillow_heif

            pillow_heif.register_heif_opener()
        given = {name: value for name, value in options.items() if name != "several"}
        if options.get("several"):
            given |= {"save_all": True, "append_images": [Image.fromarray(255 - image).convert(mode)]}
        stored.save(path, **given)

    return write


def sixteen(colour: bool, **options: Any) -> Callable[[Path, np.ndarray], object]:
    def write(path: Path, image: np.ndarray) -> None:
        deep = image.astype(np.uint16) << 8 | 0x55
        pixels = deep[..., ::-1] if colour else deep[..., 1]
        flat = [int(v) for pair in options.items() for v in pair]
        cv2.imwrite(str(path), np.ascontiguousarray(pixels), flat)

    return write


def lab(path: Path, image: np.ndarray) -> None:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    changed = ImageCms.profileToProfile(Image.fromarray(image), *profiles, outputMode="LAB")
    assert changed is not None
    changed.save(path)


def appended(tail: bytes, cut: float = 1.0, zeros: bool = False) -> Callable[[Path, np.ndarray], object]:
    """A JPEG, cut to a share of its length (filled with zeros to the old one), and bytes behind it."""

    def write(path: Path, image: np.ndarray) -> None:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=90)
        data = buffer.getvalue()
        kept = data[: int(cut * len(data))]
        path.write_bytes(kept + bytes(len(data) - len(kept) if zeros else 0) + tail)

    return write


def mpo(path: Path, image: np.ndarray, cut: float = 1.0) -> None:
    Image.fromarray(image).save(path, format="MPO", save_all=True, append_images=[Image.fromarray(255 - image)])
    if cut < 1:  # zeros in the first picture
        data = bytearray(path.read_bytes())
        end = data.index(b"\xff\xd9\xff\xd8")
        data[int(cut * end) : end] = bytes(end - int(cut * end))
        path.write_bytes(data)


def video(count: int = 12, *, orientation: int = 1, angle: float = 0.0, squeeze: tuple[int, int] = (1, 1), **options: Any) -> Any:
    """A video of a scene that does not move, stored so that the display matrix brings it upright.

    Args:
        orientation: EXIF's number of the matrix. angle: degrees counter-clockwise in place of it.
        squeeze: pixel aspect; the scene is stored that much narrower, or lower.
        options: of `makers.write_video`.
    """

    def write(path: Path, image: np.ndarray) -> None:
        stored = upright(image, undone(orientation))
        across, down = squeeze
        if squeeze != (1, 1):
            height, width = stored.shape[:2]
            size = (width * down // across, height) if across > down else (width, height * across // down)
            stored = cv2.resize(stored, size, interpolation=cv2.INTER_AREA)
        _encode(path, [stored] * count, _matrix(orientation, angle), squeeze, **options)

    return write


def _matrix(orientation: int, angle: float) -> list[int] | None:
    """The nine numbers of a display matrix."""
    one, turn = 1 << 16, np.radians(angle)
    flags = {1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1)}
    flags |= {5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0)}
    a, b, c, d = flags[orientation] if not angle else (np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn))
    if (orientation, angle) == (1, 0):
        return None
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
    preview: str | None = None,
) -> None:
    """tags: primaries, transfer, matrix. preview: `track` puts a small stream before the video, `cover` an attached picture."""
    with av.open(str(path), "w") as out:
        if preview:
            small: Any = out.add_stream("mjpeg", rate=25)
            small.width, small.height, small.pix_fmt = 64, 48, "yuvj420p"
            flags = av.stream.Disposition
            small.disposition = flags.attached_pic if preview == "cover" else 0
        stream: Any = out.add_stream(codec, rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        stream.options = {"crf": "10"} | (options or {}) if codec.startswith("libx26") else options or {}
        if aspect != (1, 1):
            stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        if matrix:
            stream.set_display_matrix(matrix)
        if tags:
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace = tags
        if preview:
            stream.disposition = av.stream.Disposition.default
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255, np.uint8), format="rgb24").reformat(format="yuvj420p")
            out.mux([*small.encode(frame), *small.encode()])
        for image in images:
            out.mux(stream.encode(_frame(image, pixels, tags)))
        out.mux(stream.encode())


def _frame(image: np.ndarray, pixels: str, tags: tuple[int, int, int] | None) -> Any:
    if tags is None:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
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


def then(write: Callable[[Path, np.ndarray], object], change: Callable[[bytes], bytes]) -> Callable[[Path, np.ndarray], object]:
    """Writes, then changes the file's bytes."""

    def both(path: Path, image: np.ndarray) -> None:
        write(path, image)
        path.write_bytes(change(path.read_bytes()))

    return both


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


def as_grey(image: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(image).convert("L").convert("RGB"))


def green(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., 1:2], 3, axis=2)


SEVERAL, CUT = "holds several pictures", "truncated"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PNG_ANIMATION: dict[str, Any] = {"several": True, "duration": 100}


def _turned_pictures(suffix: str, name: str, orientations: Sequence[int], tolerance: float = 6.0, **options: Any) -> list[Case]:
    return [
        Case(
            f"o{o}{suffix}",
            name,
            f"EXIF orientation {o}",
            picture(orientation=o, exif=exif(o, big=bool(o % 2)), **options),
            tolerance=tolerance,
        )
        for o in orientations
    ]


PICTURES = [
    *_turned_pictures(".jpg", "JPEG", range(1, 9), quality=92),
    Case("o9.jpg", "JPEG", "EXIF orientation 9: none", picture(exif=exif(9), quality=92)),
    Case("ascii.jpg", "JPEG", "EXIF orientation as text: none", picture(exif=exif(b"6\0", 2), quality=92)),
    Case("long.jpg", "JPEG", "EXIF orientation as LONG", picture(orientation=6, exif=exif(6, 4), quality=92)),
    Case("xmp.jpg", "JPEG", "orientation in XMP alone: none", picture(xmp=XMP, quality=92)),
    Case("progressive.jpg", "JPEG", "progressive", picture(progressive=True, quality=92)),
    Case("grey.jpg", "JPEG", "grey", picture("L", quality=92), as_grey),
    Case("inks.jpg", "JPEG", "CMYK", picture("CMYK", quality=92), warning="CMYK"),
    Case("stereo.mpo", "JPEG", "MPO: two pictures", mpo, warning=SEVERAL),
    Case("half.mpo", "JPEG", "MPO with half its pixels", lambda p, i: mpo(p, i, 0.5), refused=CUT),
    Case("motion.jpg", "JPEG", "motion photo: a video behind it", appended(b"\0\0\0\x18ftypmp42" + bytes(4000))),
    Case("cut.jpg", "JPEG", "truncated", appended(b"\xff\xd9", 0.5), refused=CUT),
    Case("plain.png", "PNG", "8 bits", picture(), tolerance=0),
    *_turned_pictures(".png", "PNG", (3, 6, 7), 0),
    Case("deep.png", "PNG", "16 bits", sixteen(True), tolerance=0),
    Case("deepgrey.png", "PNG", "16 bits grey", sixteen(False), green, tolerance=0),
    Case("palette.png", "PNG", "palette", picture("P"), tolerance=20),
    Case("alpha.png", "PNG", "alpha", picture("RGBA"), tolerance=0),
    Case("animated.png", "PNG", "animated", picture(**PNG_ANIMATION), tolerance=0, warning=SEVERAL),
    Case("plain.webp", "WebP", "lossy", picture(quality=92)),
    Case("lossless.webp", "WebP", "lossless", picture(lossless=True), tolerance=0),
    *_turned_pictures(".webp", "WebP", (5, 6), quality=92),
    Case("animated.webp", "WebP", "animated", picture(several=True, duration=100, lossless=True), tolerance=0, warning=SEVERAL),
    Case("plain.tif", "TIFF", "8 bits", picture(), tolerance=0),
    *[Case(f"o{o}.tif", "TIFF", f"orientation {o}", picture(orientation=o, tiffinfo={274: o}), tolerance=0) for o in (2, 6, 8)],
    Case("deep.tif", "TIFF", "16 bits, LZW", sixteen(True), tolerance=0),
    Case("deepgrey.tif", "TIFF", "16 bits grey", sixteen(False), green, tolerance=0),
    Case("deflate.tif", "TIFF", "deflate", picture(compression="tiff_adobe_deflate"), tolerance=0),
    Case("jpeg.tif", "TIFF", "JPEG", picture(compression="jpeg", quality=92)),
    Case("inks.tif", "TIFF", "CMYK", picture("CMYK"), tolerance=2, warning="CMYK"),
    Case("lab.tif", "TIFF", "LAB", lab, cpp_refused="LAB, which is not supported"),
    Case("pages.tif", "TIFF", "two pages", picture(several=True), tolerance=0, warning=SEVERAL),
    Case("cut.tif", "TIFF", "truncated", then(picture(compression="tiff_lzw"), lambda d: d[: len(d) // 2]), refused="damaged"),
    Case("plain.bmp", "BMP", "24 bits", picture(), tolerance=0),
    Case("plain.ppm", "PPM", "8 bits", picture(), tolerance=0),
    Case("plain.jp2", "JPEG 2000", "lossless", picture(), tolerance=0),
    Case("plain.heic", "HEIC", "one picture", picture(quality=90)),
    Case("turned.heic", "HEIC", "turned by its container", picture(orientation=6, exif=exif(6), quality=90)),
    Case("cut.heic", "HEIC", "truncated", then(picture(quality=90), lambda d: d[: 3 * len(d) // 4]), refused="damaged"),
    Case("plain.avif", "AVIF", "one picture", picture(quality=90)),
    Case("turned.avif", "AVIF", "turned by its container", picture(orientation=6, exif=exif(6), quality=90)),
    Case("sequence.avif", "AVIF", "sequence", picture(several=True, duration=100, quality=90), warning=SEVERAL),
]

VIDEOS = [
    Case("plain.mp4", "MP4", "H.264", video()),
    *[Case(f"o{o}.mp4", "MP4", f"display matrix, orientation {o}", video(orientation=o)) for o in range(2, 9)],
    Case("angle.mp4", "MP4", "display matrix, 30 degrees", video(angle=30), turned_by(30), tolerance=8),
    Case("narrow.mp4", "MP4", "pixel aspect 1:2", video(squeeze=(1, 2)), tolerance=8),
    Case("wide.mkv", "Matroska", "pixel aspect 2:1", video(squeeze=(2, 1)), tolerance=8),
    Case("preview.mp4", "MP4", "a preview before the video", video(preview="track"), warning="2 video streams"),
    Case("cover.mp4", "MP4", "a cover", video(preview="cover")),
    Case("pq.mp4", "MP4", "HDR: PQ", video(codec="libx265", pixels="yuv420p10le", tags=(9, 16, 9)), warning="HDR (PQ)"),
    Case("hlg.mp4", "MP4", "HDR: HLG", video(codec="libx265", pixels="yuv420p10le", tags=(9, 18, 9)), warning="HDR (HLG)"),
    Case("wide_gamut.mp4", "MP4", "BT.2020, SDR", video(codec="libx265", pixels="yuv420p10le", tags=(9, 14, 9))),
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
    Case("reordered.avi", "AVI", "H.264 with B frames: no times", video(24, options={"bf": "3", "g": "12"})),
    Case("old.avi", "AVI", "MPEG-4 part 2", video(codec="mpeg4", options={"b": "4M"})),
    Case("vp9.webm", "WebM", "VP9", video(codec="libvpx-vp9", options={"deadline": "realtime", "b": "2M"})),
    Case("vp8.webm", "WebM", "VP8", video(codec="libvpx", options={"b": "2M"})),
    Case("plain.ogv", "Ogg", "VP8", video(30, codec="libvpx", options={"b": "2M"})),
    Case("cut.ogv", "Ogg", "truncated", then(video(60, codec="libvpx", options={"b": "2M"}), lambda d: d[: 7 * len(d) // 10]), refused=CUT),
    Case("plain.ts", "MPEG-TS", "H.264", video()),
    Case("zeros.ts", "MPEG-TS", "zeros behind it", then(video(), lambda d: d + bytes(70_000)), warning="bytes that are zero"),
    Case("animation.gif", "GIF", "animation", video(codec="gif", pixels="rgb8"), tolerance=25),
]

CASES = [*PICTURES, *VIDEOS]


def write_corpus(folder: Path, image: np.ndarray | None = None) -> list[Path]:
    """Every case as a file in a folder, of a scene (uint8 [H, W, 3], even sides, by default `scene()`)."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        case.write(folder / case.name, scene() if image is None else image)
    return [folder / case.name for case in CASES]


if __name__ == "__main__":
    print(len(write_corpus(Path(sys.argv[1]))), "files")
