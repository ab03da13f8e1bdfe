"""Pictures of every kind."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image, ImageCms

from corpus import parts
from corpus.case import CUT, SEVERAL, Case, Write, as_grey, green, then
from corpus.parts import exif
from fpg.data.orientation import undone, upright


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
    """A JPEG, cut to a fraction of its length (filled with zeros to the old one), and bytes behind it."""

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


def motion(path: Path, image: np.ndarray) -> None:
    """A JPEG with a video of something else behind it."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=92, xmp=MOTION)
    path.write_bytes(buffer.getvalue() + _clip(255 - image))


def motion_heif(path: Path, image: np.ndarray, mode: str = "box") -> None:
    """HEIC or AVIF with a video of something else: in a box of its own, `behind` the picture, or in a maker's `trailer`."""
    picture(quality=90)(path, image)
    clip = _clip(255 - image)
    put = {
        "box": parts.box(b"mpvd", clip),
        "behind": clip,
        "trailer": b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + clip + b"SEFH\x6a\0\0\0SEFT",
    }
    path.write_bytes(path.read_bytes() + put[mode])


def _clip(image: np.ndarray) -> bytes:
    """An MP4 of a few frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        out.mux(stream.encode())
    return buffer.getvalue()


def inks_as_ycck(path: Path, image: np.ndarray) -> None:
    """A JPEG whose inks are stored as brightness and colour."""
    inverse = Image.fromarray(255 - image).convert("YCbCr")
    planes = [Image.eval(plane, lambda v: 255 - v) for plane in inverse.split()]
    Image.merge("CMYK", [*planes, Image.new("L", inverse.size, 0)]).save(path, quality=95, subsampling=0)
    data = path.read_bytes()
    at = data.index(b"Adobe") + 11
    path.write_bytes(data[:at] + b"\x02" + data[at + 1 :])


def raw_png(colour: int, depth: int, before: bytes = b"", after: bytes = b"") -> Write:
    """A PNG of one of these kinds (`parts.png`), its grey the green of the scene, its alpha a ramp."""

    def write(path: Path, image: np.ndarray) -> None:
        scaled = image.astype(np.uint16) << 8 | 0x55 if depth == 16 else image >> (8 - depth)
        top = (1 << depth) - 1
        ramp = np.linspace(0, top, image.shape[1]).astype(scaled.dtype)
        alpha = np.broadcast_to(ramp, image.shape[:2])[..., None]
        planes = scaled[..., 1:2] if colour in (0, 4) else scaled
        path.write_bytes(parts.png(np.concatenate([planes, alpha], 2) if colour & 4 else planes, colour, depth, before, after))

    return write


def raw_tiff(orientation: int = 1, depth: int = 8, premultiplied: bool = False, **options: Any) -> Write:
    """A TIFF of one of these kinds (`parts.tiff`)."""

    def write(path: Path, image: np.ndarray) -> None:
        stored = upright(image, undone(orientation))
        if premultiplied:
            alpha = np.full((*stored.shape[:2], 1), 200, np.uint8)
            stored = np.concatenate([np.rint(stored * (200 / 255)).astype(np.uint8), alpha], 2)
        turn = {"orientation": orientation} if orientation > 1 else {}
        parts.tiff(path, stored.astype(np.uint16) << 8 | 0x55 if depth == 16 else stored, **turn, **options)

    return write


def late_exif(path: Path, image: np.ndarray) -> None:
    path.write_bytes(parts.png(upright(image, undone(6)), 2, 8, after=parts.png_chunk(b"eXIf", exif(6))))


def black_and_white(image: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(image).convert("1").convert("RGB"))


def animated_beside(path: Path, image: np.ndarray) -> None:
    """A PNG whose animation leaves out the picture that programs without animation show."""
    Image.fromarray(image).save(path, save_all=True, default_image=True, append_images=[Image.fromarray(255 - image)] * 2, duration=100)


def unmarked(data: bytes) -> bytes:
    """A JPEG without Adobe's marker."""
    return parts.without_segment(data, 0xEE)


def stated_by_exif_alone(path: Path, image: np.ndarray) -> None:
    """HEIF and AVIF whose EXIF says orientation 6, and their container none: libraries write what is stated into it."""
    stated, other = (struct.pack("<HHI", tag, 3, 1) for tag in (0x0112, 0x0213))
    picture(exif=exif(6).replace(stated, other), quality=90)(path, image)
    data = path.read_bytes()
    assert other in data
    path.write_bytes(data.replace(other, stated))


def _to_luma_and_chroma(r: float, b: float) -> np.ndarray:
    """The matrix from RGB to Y, Cb, Cr, by the shares of red and blue in Y."""
    y = np.array([r, 1 - r - b, b])
    return np.stack([y, ([0, 0, 1] - y) / (2 - 2 * b), ([1, 0, 0] - y) / (2 - 2 * r)])


def as_bt709(path: Path, image: np.ndarray) -> None:
    """An AVIF of BT.709's matrix: colours whose BT.601 values are BT.709's of the scene, under the other name."""
    bt601, bt709 = _to_luma_and_chroma(0.299, 0.114), _to_luma_and_chroma(0.2126, 0.0722)
    other = np.rint(np.clip(image @ (np.linalg.inv(bt601) @ bt709).T, 0, 255)).astype(np.uint8)
    picture(quality=90)(path, other)
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 12
    path.write_bytes(data[:at] + b"\0\1" + data[at + 2 :])


MOTION = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"/></x:xmpmeta>'
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
XMP_CHUNK = parts.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
PNG_ANIMATION: dict[str, Any] = {"several": True, "duration": 100}


def turned_by_exif(suffix: str, name: str, orientations: Sequence[int], tolerance: float = 6.0, **options: Any) -> list[Case]:
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


def turned_by_container(suffix: str, name: str) -> list[Case]:
    kind = "turned by its container, orientation"
    return [Case(f"o{o}{suffix}", name, f"{kind} {o}", picture(orientation=o, exif=exif(o), quality=90)) for o in range(2, 9)]


PICTURES = [
    *turned_by_exif(".jpg", "JPEG", range(1, 9), quality=92),
    Case("o9.jpg", "JPEG", "EXIF orientation 9: none", picture(exif=exif(9), quality=92)),
    Case("ascii.jpg", "JPEG", "EXIF orientation as text: none", picture(exif=exif(b"6\0", 2), quality=92)),
    Case("long.jpg", "JPEG", "EXIF orientation as LONG", picture(orientation=6, exif=exif(6, 4), quality=92)),
    Case("xmp.jpg", "JPEG", "orientation in XMP alone: none", picture(xmp=XMP, quality=92), compared=False),
    Case("second.jpg", "JPEG", "orientation of the thumbnail: none", picture(exif=exif(6, second=True), quality=92)),
    Case("progressive.jpg", "JPEG", "progressive", picture(progressive=True, quality=92)),
    Case("grey.jpg", "JPEG", "grey", picture("L", quality=92), as_grey),
    Case("inks.jpg", "JPEG", "CMYK", picture("CMYK", quality=92), warning="CMYK"),
    Case("plaininks.jpg", "JPEG", "CMYK, not marked as Adobe's", then(picture("CMYK", quality=92), unmarked), warning="CMYK"),
    Case("ycck.jpg", "JPEG", "YCCK", inks_as_ycck, warning="CMYK"),
    Case("444.jpg", "JPEG", "4:4:4", picture(quality=92, subsampling=0)),
    Case("stereo.mpo", "JPEG", "MPO: two pictures", mpo, warning=SEVERAL),
    Case("half.mpo", "JPEG", "MPO with half its pixels", lambda p, i: mpo(p, i, 0.5), refused=CUT),
    Case("motion.jpg", "JPEG", "motion photo: a video behind it", motion),
    Case("cut.jpg", "JPEG", "truncated", appended(b"\xff\xd9", 0.5), refused=CUT),
    Case("plain.png", "PNG", "8 bits", picture(), tolerance=0),
    *turned_by_exif(".png", "PNG", (3, 6, 7), 0),
    Case("late.png", "PNG", "EXIF behind the pixels, prefixed", late_exif, tolerance=0),
    Case("xmp.png", "PNG", "orientation in XMP alone: none", raw_png(2, 8, XMP_CHUNK), tolerance=0, compared=False),
    Case("deep.png", "PNG", "16 bits", sixteen(True), tolerance=0),
    Case("deepgrey.png", "PNG", "16 bits grey", sixteen(False), green, tolerance=0, compared=False),
    Case("deepalpha.png", "PNG", "16 bits, alpha", raw_png(6, 16), tolerance=1),
    Case("deepgreyalpha.png", "PNG", "16 bits grey, alpha", raw_png(4, 16), green, tolerance=1),
    Case("fourgrey.png", "PNG", "4 bits grey", raw_png(0, 4), green, tolerance=9),
    Case("greyalpha.png", "PNG", "grey, alpha", raw_png(4, 8), green, tolerance=0),
    Case("palette.png", "PNG", "palette", picture("P"), tolerance=20),
    Case("alpha.png", "PNG", "alpha", picture("RGBA"), tolerance=0),
    Case("animated.png", "PNG", "animated", picture(**PNG_ANIMATION), tolerance=0, warning=SEVERAL),
    Case("beside.png", "PNG", "animated, its picture apart", animated_beside, tolerance=0, warning=SEVERAL),
    Case("plain.webp", "WebP", "lossy", picture(quality=92)),
    Case("lossless.webp", "WebP", "lossless", picture(lossless=True), tolerance=0),
    *turned_by_exif(".webp", "WebP", (5, 6), quality=92),
    Case("xmp.webp", "WebP", "orientation in XMP alone: none", picture(xmp=XMP, quality=92), compared=False),
    Case("alpha.webp", "WebP", "alpha", picture("RGBA", quality=92)),
    Case("animated.webp", "WebP", "animated", picture(several=True, duration=100, lossless=True), tolerance=0, warning=SEVERAL),
    Case("plain.tif", "TIFF", "8 bits", picture(), tolerance=0),
    *[Case(f"o{o}.tif", "TIFF", f"orientation {o}", picture(orientation=o, tiffinfo={274: o}), tolerance=0) for o in (2, 6, 8)],
    Case("deep.tif", "TIFF", "16 bits, LZW", sixteen(True), tolerance=0),
    Case("deepgrey.tif", "TIFF", "16 bits grey", sixteen(False), green, tolerance=0, compared=False),
    Case("mm.tif", "TIFF", "16 bits, big endian, orientation 5", raw_tiff(5, 16, big_endian=True), tolerance=0),
    Case("big.tif", "TIFF", "BigTIFF, orientation 6", raw_tiff(6, big=True), tolerance=0),
    Case("tiles.tif", "TIFF", "tiles", raw_tiff(tile=64), tolerance=0),
    Case("tilesdeep.tif", "TIFF", "tiles, 16 bits, deflate, orientation 7", raw_tiff(7, 16, tile=48, deflate=True), tolerance=0),
    Case("planes.tif", "TIFF", "planes apart", raw_tiff(planes=True), tolerance=0),
    Case("tilesplanes.tif", "TIFF", "tiles, planes apart", raw_tiff(planes=True, tile=32), tolerance=0),
    Case("xmp.tif", "TIFF", "orientation in XMP alone: none", picture(tiffinfo={700: XMP}), tolerance=0, compared=False),
    Case("premultiplied.tif", "TIFF", "alpha, premultiplied", raw_tiff(premultiplied=True, extra=1), tolerance=1),
    Case("bilevel.tif", "TIFF", "1 bit, CCITT group 4", picture("1", compression="group4"), black_and_white, tolerance=0),
    Case("palette.tif", "TIFF", "palette", picture("P"), tolerance=20),
    Case("deflate.tif", "TIFF", "deflate", picture(compression="tiff_adobe_deflate"), tolerance=0),
    Case("jpeg.tif", "TIFF", "JPEG", picture(compression="jpeg", quality=92)),
    Case("inks.tif", "TIFF", "CMYK", picture("CMYK"), tolerance=2, warning="CMYK"),
    Case("lab.tif", "TIFF", "LAB", lab, cpp_refused="LAB, which is not supported", compared=False),
    Case("pages.tif", "TIFF", "two pages", picture(several=True), tolerance=0, warning=SEVERAL),
    Case("cut.tif", "TIFF", "truncated", then(picture(compression="tiff_lzw"), lambda d: d[: len(d) // 2]), refused="damaged"),
    Case("plain.bmp", "BMP", "24 bits", picture(), tolerance=0),
    Case("alpha.bmp", "BMP", "32 bits", picture("RGBA"), tolerance=0),
    Case("palette.bmp", "BMP", "palette", picture("P"), tolerance=20),
    Case("plain.ppm", "PPM", "8 bits", picture(), tolerance=0),
    Case("plain.jp2", "JPEG 2000", "lossless", picture(), tolerance=0),
    Case("grey.pgm", "PPM", "grey", picture("L"), as_grey, tolerance=0),
    Case("grey.jp2", "JPEG 2000", "grey", picture("L"), as_grey, tolerance=0),
    Case("alpha.jp2", "JPEG 2000", "alpha", picture("RGBA"), tolerance=0),
    Case("plain.heic", "HEIC", "one picture", picture(quality=90)),
    *turned_by_container(".heic", "HEIC"),
    Case("exif.heic", "HEIC", "orientation in EXIF alone: none", stated_by_exif_alone),
    Case("motion.heic", "HEIC", "motion photo: a video in a box", motion_heif),
    Case("behind.heic", "HEIC", "motion photo: a video behind it", lambda p, i: motion_heif(p, i, "behind")),
    Case("trailer.heic", "HEIC", "motion photo: a maker's trailer behind it", lambda p, i: motion_heif(p, i, "trailer")),
    Case("several.heic", "HEIC", "two pictures", picture(several=True, quality=90), warning=SEVERAL),
    Case("grey.heic", "HEIC", "grey", picture("L", quality=90), as_grey),
    Case("alpha.heic", "HEIC", "alpha", picture("RGBA", quality=90)),
    Case("cut.heic", "HEIC", "truncated", then(picture(quality=90), lambda d: d[: 3 * len(d) // 4]), refused="damaged"),
    Case("plain.avif", "AVIF", "one picture", picture(quality=90)),
    *turned_by_container(".avif", "AVIF"),
    Case("exif.avif", "AVIF", "orientation in EXIF alone: none", stated_by_exif_alone),
    Case("bt709.avif", "AVIF", "BT.709", as_bt709),
    Case("444.avif", "AVIF", "4:4:4", picture(quality=90, subsampling="4:4:4")),
    Case("limited.avif", "AVIF", "limited range", picture(quality=90, range="limited")),
    Case("grey.avif", "AVIF", "grey", picture("L", quality=90), as_grey),
    Case("alpha.avif", "AVIF", "alpha", picture("RGBA", quality=90)),
    Case("motion.avif", "AVIF", "motion photo: a video in a box", motion_heif),
    Case("sequence.avif", "AVIF", "sequence", picture(several=True, duration=100, quality=90), warning=SEVERAL),
]
