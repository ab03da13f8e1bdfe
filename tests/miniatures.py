"""Miniatures of the published data sets: their folders, names and lists, with one tiny clip in place of every video.

Each builder makes a whole and faultless tree and returns the path to give to fpg. Clips differ in their bytes (a trailing `free`
box), so that none counts as a copy of another; their frames are the same.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import makers
import numpy as np
from PIL import Image

FRAMES = 4


@lru_cache
def _clip() -> bytes:
    with TemporaryDirectory() as folder:
        return makers.write_video(Path(folder) / "a.mp4", FRAMES).read_bytes()


@lru_cache
def _image(seed: int) -> np.ndarray:
    return makers.picture(seed=seed)


def put(path: Path) -> Path:
    """A clip of four frames with one face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.as_posix().encode()
    path.write_bytes(_clip() + struct.pack(">I4s", 8 + len(name), b"free") + name)
    return path


def put_frames(folder: Path, count: int = 2, first: int = 0) -> list[Path]:
    """A folder of frames."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{first + i:03d}.png" for i in range(count)]
    for i, file in enumerate(files):
        Image.fromarray(_image(i)).save(file, compress_level=1)
    return files


def put_text(path: Path, text: str) -> Path:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def put_faces(frame: Path, single: bool = False) -> None:
    """dlib's and RetinaFace's files for a frame (DeepfakeBench: one face, no RetinaFace)."""
    (face,) = makers.ColourAnalyzer()(np.asarray(Image.open(frame)))
    assert face.landmarks is not None
    x0, y0, x1, y1 = face.box
    box = np.array([[x0 - 3, y0 - 3], [x1 + 3, y1 + 3], *[[x0, y0]] * 5])
    at = {name: Path(str(frame.parent).replace("frames", name)) / f"{frame.stem}.npy" for name in ("landmarks", "retina")}
    at["landmarks"].parent.mkdir(parents=True, exist_ok=True)
    np.save(at["landmarks"], face.landmarks if single else face.landmarks[None])
    if not single:
        at["retina"].parent.mkdir(parents=True, exist_ok=True)
        np.save(at["retina"], box[None])


PAIRS = {"train": ["000", "003"], "val": ["010", "011"], "test": ["020", "021"]}


def _splits(root: Path) -> None:
    for split, pair in PAIRS.items():
        put_text(root / f"{split}.json", json.dumps([pair]))


def ff(root: Path) -> Path:
    """FF++: two methods, reals in two compressions."""
    _splits(root)
    for a, b in PAIRS.values():
        for name in (a, b):
            put(root / f"original_sequences/youtube/c23/videos/{name}.mp4")
            put(root / f"original_sequences/youtube/raw/videos/{name}.mp4")
        for method in ("Deepfakes", "FaceShifter"):
            put(root / f"manipulated_sequences/{method}/c23/videos/{a}_{b}.mp4")
            put(root / f"manipulated_sequences/{method}/c23/videos/{b}_{a}.mp4")
        put(root / f"manipulated_sequences/Deepfakes/masks/videos/{a}_{b}.mp4")
    return root


def dfd(root: Path) -> Path:
    """DFD alone."""
    put(root / "original_sequences/actors/c23/videos/01__exit_phone_room.mp4")
    put(root / "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__exit_phone_room__YVGY8LOK.mp4")
    return root


def celeb(root: Path, videos: str = "", youtube: str = "YouTube-real") -> Path:
    """Celeb-DF, flat or with `videos/`."""
    for name in ("id0_0000", "id1_0000"):
        put(root / "Celeb-real" / videos / f"{name}.mp4")
    put(root / youtube / videos / "00170.mp4")
    for name in ("id0_id1_0000", "id1_id0_0000"):
        put(root / "Celeb-synthesis" / videos / f"{name}.mp4")
    lines = "1 YouTube-real/00170.mp4\n1 Celeb-real\\id1_0000.mp4\n0 Celeb-synthesis/id1_id0_0000.mp4\n"
    put_text(root / "List_of_testing_videos.txt", lines)
    return root


def celeb_v1(root: Path) -> Path:
    """Celeb-DF-v1."""
    return celeb(root / "Celeb-DF-v1", "videos", "Youtube-real")


def celeb_pp(root: Path) -> Path:
    """Celeb-DF++."""
    for name in ("id0_0000", "id1_0000"):
        put(root / f"Celeb-real/{name}.mp4")
    put(root / "YouTube-real/00170.mp4")
    for place in ("FaceSwap/BlendFace", "FaceReenact/LIA", "TalkingFace/SadTalker"):
        put(root / f"Celeb-synthesis/{place}/id0_id1_0000.mp4")
        put(root / f"Celeb-synthesis/{place}/id1_id0_0000.mp4")
    fakes = "".join(f"0 Celeb-synthesis/{p}/id1_id0_0000.mp4\n" for p in ("FaceSwap/BlendFace", "FaceReenact/LIA", "TalkingFace/SadTalker"))
    put_text(root / "List_of_testing_videos.txt", "1 Celeb-real/id1_0000.mp4\n" + fakes)
    return root


def dfdc(root: Path) -> Path:
    """DFDC's test set as SBI keeps it."""
    for name in ("aaa", "bbb", "ccc"):
        put(root / f"videos/{name}.mp4")
    put_text(root / "labels.csv", "filename,label\naaa.mp4,0\nbbb.mp4,1\nccc.mp4,1\n")
    return root


def dfdc_parts(root: Path) -> Path:
    """DFDC's train parts and test folder, as DeepfakeBench keeps them."""
    put(root / "train/dfdc_train_part_0/aaa.mp4")
    put(root / "train/dfdc_train_part_0/bbb.mp4")
    labels = {"aaa.mp4": {"label": "REAL", "split": "train"}, "bbb.mp4": {"label": "FAKE", "split": "train", "original": "aaa.mp4"}}
    put_text(root / "train/dfdc_train_part_0/metadata.json", json.dumps(labels))
    put(root / "test/videos/ccc.mp4")
    put_frames(root / "test/frames/ddd")
    put_text(root / "test/labels.csv", "filename,label\nccc.mp4,0\nddd.mp4,1\n")
    return root


def dfdcp(root: Path) -> Path:
    """DFDCP with `videos/` and folders of persons for the first method, flat for the others."""
    put(root / "method_A/videos/643049/643049_A/643049_A_001.mp4")
    put(root / "method_B/1224068_C_002.mp4")
    put(root / "original_videos/643049/643049_D_003.mp4")
    entries = {
        "method_A/643049/643049_A/643049_A_001.mp4": ("fake", "train"),
        "method_B/1224068/1224068_C/1224068_C_002.mp4": ("fake", "test"),
        "original_videos/643049/643049_D_003.mp4": ("real", "test"),
    }
    table = {k: {"label": label, "set": s, "target_id": "643049", "swapped_id": "1224068"} for k, (label, s) in entries.items()}
    put_text(root / "dataset.json", json.dumps(table))
    return root


def ffiw(root: Path) -> Path:
    """FFIW."""
    for part in ("source", "target"):
        put(root / f"FFIW10K-v1-release/{part}/train/vid_1.mp4")
        put(root / f"FFIW10K-v1-release/{part}/val/videos/vid_2.mp4")
    return root


def deeperforensics(root: Path) -> Path:
    """DeeperForensics-1.0: two variants, sources of two actors."""
    names = {"train": "000_M101", "val": "001_W102", "test": "002_W103"}
    for split, name in names.items():
        put_text(root / f"lists/splits/{split}.txt", f"{name}.mp4\n")
        for variant in ("end_to_end", "end_to_end_level_1"):
            put(root / f"manipulated_videos/{variant}/{name}.mp4")
        actor = name[4:]
        put(root / f"source_videos/{actor}/light_up/happy/camera_front/{actor}_light_up_happy_camera_front.mp4")
    return root


def wild(root: Path) -> Path:
    """WildDeepfake."""
    for part in ("real_train", "fake_train", "real_test", "fake_test"):
        put_frames(root / part / "3", first=7)
        put_frames(root / part / "12" / part[:4] / "0")
    return root


def df40(root: Path) -> Path:
    """DF40: a swapping method of two domains, one of still images with its own reals."""
    put_frames(root / "DF40/simswap/ff/frames/000_003")
    put_frames(root / "DF40/simswap/cdf/frames/id0_id1_0000")
    put_frames(root / "DF40/heygen/fake/a")
    put_frames(root / "DF40/heygen/real/b")
    return root / "DF40"


def uadfv(root: Path) -> Path:
    """UADFV."""
    put(root / "UADFV/real/0000.mp4")
    put(root / "UADFV/fake/0000_fake.mp4")
    return root / "UADFV"


def sbi_tree(root: Path) -> Path:
    """FF++ as SBI and FPG prepare it: frames, landmarks and RetinaFace files next to the videos."""
    ff(root)
    for video in list(root.glob("original_sequences/youtube/c23/videos/*.mp4")) + list(
        root.glob("manipulated_sequences/Deepfakes/c23/videos/*.mp4")
    ):
        for frame in put_frames(video.parents[1] / "frames" / video.stem):
            put_faces(frame)
    return root


def deepfakebench(root: Path) -> Path:
    """DeepfakeBench: frames and landmarks, its JSON of one FF++ method, paths as Windows writes them."""
    tree: dict[str, dict[str, dict[str, dict[str, dict[str, object]]]]] = {}
    for split, (a, b) in PAIRS.items():
        for word, place, name in (
            ("FF-real", "original_sequences/youtube", a),
            ("FF-real", "original_sequences/youtube", b),
            ("FF-DF", "manipulated_sequences/Deepfakes", f"{a}_{b}"),
        ):
            frames = put_frames(root / f"datasets/FaceForensics++/{place}/c23/frames/{name}")
            for frame in frames:
                put_faces(frame, single=True)
            listed = ["D:\\data\\" + str(f.relative_to(root / "datasets")).replace("/", "\\") for f in frames]
            entry = {"label": word, "frames": listed, "masks": []}
            tree.setdefault(word, {}).setdefault(split, {}).setdefault("c23", {})[name] = entry
    return put_text(root / "FF-DF.json", json.dumps({"FF-DF": tree}))


def deepfakebench_celeb(root: Path) -> Path:
    """DeepfakeBench's Celeb-DF: its test videos are in all three splits."""
    tree: dict[str, dict[str, dict[str, object]]] = {}
    for word, folder, name, splits in (
        ("CelebDFv2_real", "Celeb-real", "id0_0000", ("train",)),
        ("CelebDFv2_real", "Celeb-real", "id1_0000", ("train", "val", "test")),
        ("CelebDFv2_fake", "Celeb-synthesis", "id1_id0_0000", ("train", "val", "test")),
    ):
        frames = put_frames(root / f"Celeb-DF-v2/{folder}/frames/{name}")
        entry = {"label": word, "frames": [str(f.relative_to(root)) for f in frames]}
        for split in ("train", "val", "test"):
            tree.setdefault(word, {}).setdefault(split, {})
            if split in splits:
                tree[word][split][name] = entry
    return put_text(root / "preprocessing/dataset_json/Celeb-DF-v2.json", json.dumps({"Celeb-DF-v2": tree}))


def csv_list(root: Path) -> Path:
    """A CSV."""
    for name in "abcd":
        put(root / f"v/{name}.mp4")
    text = "path,label,split,method\nv/a.mp4,real,train,\nv/b.mp4,fake,train,swap\nv/c.mp4,0,test,\nv\\d.mp4,1,test,swap\n"
    return put_text(root / "list.csv", text)


def real_fake(root: Path) -> Path:
    """Folders of labels and splits."""
    for split in ("train", "val", "test"):
        put(root / f"{split}/real/a.mp4")
        put(root / f"{split}/fake/a.mp4")
    return root


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "ff": ff,
    "dfd": dfd,
    "celeb_v1": celeb_v1,
    "celeb_v2": celeb,
    "celeb_pp": celeb_pp,
    "dfdc": dfdc,
    "dfdc_parts": dfdc_parts,
    "dfdcp": dfdcp,
    "ffiw": ffiw,
    "deeperforensics": deeperforensics,
    "wild": wild,
    "df40": df40,
    "uadfv": uadfv,
    "sbi_tree": sbi_tree,
    "deepfakebench": deepfakebench,
    "deepfakebench_celeb": deepfakebench_celeb,
    "csv": csv_list,
    "real_fake": real_fake,
}
