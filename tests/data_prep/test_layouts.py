"""Miniatures of every layout: recognised, read with the right labels, splits and identities, and prepared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import makers
import miniatures
import pytest

from fpg.cli.prepare import main
from fpg.common.errors import InputError, UsageError
from fpg.data.layouts import LAYOUTS, describe_layouts
from fpg.data.prepare import prepare
from fpg.data.sources import VideoSource, find_sources, split_of, survey

NAMES = {
    "ff": ["ff++"],
    "dfd": ["dfd"],
    "celeb_v1": ["celeb-df-v1"],
    "celeb_v2": ["celeb-df-v2"],
    "celeb_pp": ["celeb-df++"],
    "dfdc": ["dfdc"],
    "dfdc_parts": ["dfdc"],
    "dfdcp": ["dfdcp"],
    "ffiw": ["ffiw"],
    "deeperforensics": ["deeperforensics"],
    "wild": ["wilddeepfake"],
    "df40": ["df40"],
    "uadfv": ["uadfv"],
    "sbi_tree": ["ff++"],
    "deepfakebench": ["deepfakebench"],
    "deepfakebench_celeb": ["deepfakebench"],
    "csv": ["csv"],
    "real_fake": ["real-fake"],
}

_FF = {"000": "train", "003": "train", "010": "val", "011": "val", "020": "test", "021": "test"}
_SWAPS = {"000_003": "train", "003_000": "train", "010_011": "val", "011_010": "val", "020_021": "test", "021_020": "test"}
_FF_SOURCES = {("FF++", "", f"{c}/{i}", 0, s) for c in ("c23", "raw") for i, s in _FF.items()} | {
    ("FF++", m, f"c23/{i}", 1, s) for m in ("Deepfakes", "FaceShifter") for i, s in _SWAPS.items()
}
_CDF = {
    ("", "Celeb-real/id0_0000", 0, "train"),
    ("", "Celeb-real/id1_0000", 0, "test"),
    ("", "YouTube-real/00170", 0, "test"),
    ("Celeb-synthesis", "Celeb-synthesis/id0_id1_0000", 1, "train"),
    ("Celeb-synthesis", "Celeb-synthesis/id1_id0_0000", 1, "test"),
}
_PP = [("FaceSwap/BlendFace"), ("FaceReenact/LIA"), ("TalkingFace/SadTalker")]
_ACTORS = {"M101": "train", "W102": "val", "W103": "test"}
EXPECTED: dict[str, set[tuple[str, str, str, int | None, str]]] = {
    "ff": _FF_SOURCES,
    "sbi_tree": _FF_SOURCES,
    "dfd": {
        ("DFD", "", "c23/01__exit_phone_room", 0, "test"),
        ("DFD", "DeepFakeDetection", "c23/01_02__exit_phone_room__YVGY8LOK", 1, "test"),
    },
    "celeb_v1": {("Celeb-DF-v1", *rest) for rest in _CDF},
    "celeb_v2": {("Celeb-DF-v2", *rest) for rest in _CDF},
    "celeb_pp": {
        ("Celeb-DF++", "", "Celeb-real/id0_0000", 0, "train"),
        ("Celeb-DF++", "", "Celeb-real/id1_0000", 0, "test"),
        ("Celeb-DF++", "", "YouTube-real/00170", 0, "train"),
        *(("Celeb-DF++", m, f"Celeb-synthesis/{m}/id0_id1_0000", 1, "train") for m in _PP),
        *(("Celeb-DF++", m, f"Celeb-synthesis/{m}/id1_id0_0000", 1, "test") for m in _PP),
    },
    "dfdc": {("DFDC", "", "aaa", 0, "test"), ("DFDC", "DFDC", "bbb", 1, "test"), ("DFDC", "DFDC", "ccc", 1, "test")},
    "dfdc_parts": {
        ("DFDC", "", "dfdc_train_part_0/aaa", 0, "train"),
        ("DFDC", "DFDC", "dfdc_train_part_0/bbb", 1, "train"),
        ("DFDC", "", "ccc", 0, "test"),
        ("DFDC", "DFDC", "ddd", 1, "test"),
    },
    "dfdcp": {
        ("DFDCP", "method_A", "643049_A_001", 1, "train"),
        ("DFDCP", "method_B", "1224068_C_002", 1, "test"),
        ("DFDCP", "", "643049_D_003", 0, "test"),
    },
    "ffiw": {
        ("FFIW", "", "train/vid_1", 0, "train"),
        ("FFIW", "FFIW", "train/vid_1", 1, "train"),
        ("FFIW", "", "val/vid_2", 0, "test"),
        ("FFIW", "FFIW", "val/vid_2", 1, "test"),
    },
    "deeperforensics": {
        *(
            ("DeeperForensics", variant, name, 1, _ACTORS[name[4:]])
            for variant in ("end_to_end", "end_to_end_level_1")
            for name in ("000_M101", "001_W102", "002_W103")
        ),
        *(("DeeperForensics", "", f"{a}/light_up/happy/camera_front/{a}_light_up_happy_camera_front", 0, s) for a, s in _ACTORS.items()),
    },
    "wild": {
        ("WildDeepfake", "WildDeepfake" if label else "", f"{split}/{video}", label, split)
        for label, word in enumerate(("real", "fake"))
        for split in ("train", "test")
        for video in ("3", f"12/{word}/0")
    },
    "df40": {
        ("DF40", "simswap", "ff/000_003", 1, "test"),
        ("DF40", "simswap", "cdf/id0_id1_0000", 1, "test"),
        ("DF40", "heygen", "fake/a", 1, "test"),
        ("DF40", "", "heygen/real/b", 0, "test"),
    },
    "uadfv": {("UADFV", "", "0000", 0, "test"), ("UADFV", "UADFV", "0000_fake", 1, "test")},
    "deepfakebench": {("FF++", "", f"c23/{i}", 0, s) for i, s in _FF.items()}
    | {("FF++", "Deepfakes", f"c23/{i}", 1, s) for i, s in _SWAPS.items() if i < i[4:]},
    "deepfakebench_celeb": {
        ("Celeb-DF-v2", "", "id0_0000", 0, "train"),
        ("Celeb-DF-v2", "", "id1_0000", 0, "test"),
        ("Celeb-DF-v2", "Celeb-synthesis", "id1_id0_0000", 1, "test"),
    },
    "csv": {
        ("list", "", "v/a", 0, "train"),
        ("list", "swap", "v/b", 1, "train"),
        ("list", "", "v/c", 0, "test"),
        ("list", "swap", "v/d", 1, "test"),
    },
    "real_fake": {("set", m, f"{s}/a", label, s) for label, m in enumerate(("", "fake")) for s in ("train", "val", "test")},
}


def built(name: str, tmp_path: Path) -> Path:
    return miniatures.BUILDERS[name](tmp_path / "set")


def brief(source: VideoSource) -> tuple[str, str, str, int | None, str]:
    return (*source.key, source.label, split_of(source))


@pytest.mark.parametrize("name", NAMES)
def test_is_recognised_and_read(name: str, tmp_path: Path) -> None:
    found = survey(built(name, tmp_path))
    assert [layout.name for layout, _ in found.layouts] == NAMES[name]
    assert {brief(s) for s in found.sources} == EXPECTED[name]
    assert [f for f in found.findings if f.level != "note"] == []
    assert found.left_out == []
    assert all(s.path.exists() and s.split_reason for s in found.sources)
    assert find_sources(found.root) == found.sources
    assert find_sources(found.layouts[0][1], layout=NAMES[name][0]) == found.sources


@pytest.mark.parametrize("name", ["ff", "dfd", "deeperforensics", "deepfakebench"])
def test_no_identity_is_in_two_splits(name: str, tmp_path: Path) -> None:
    homes: dict[tuple[str, str], set[str]] = {}
    for source in find_sources(built(name, tmp_path)):
        for kind, who in (("target", source.target), ("donor", source.donor)):
            if who and not (name == "deeperforensics" and kind == "target" and source.label == 0):
                homes.setdefault((kind if name == "deeperforensics" else "", who), set()).add(split_of(source))
    assert homes
    assert all(len(splits) == 1 for splits in homes.values())


def test_compression_and_identities_are_known(tmp_path: Path) -> None:
    known = {s.key[1:]: s for s in find_sources(built("ff", tmp_path))}
    fake = known["Deepfakes", "c23/000_003"]
    assert (fake.compression, fake.target, fake.donor, fake.why) == ("c23", "000", "003", "train.json")
    assert known["", "raw/000"].compression == "raw"
    assert {s.target for s in find_sources(miniatures.dfdcp(tmp_path / "p"))} == {"643049"}


def test_data_sets_that_share_a_tree_or_a_folder(tmp_path: Path) -> None:
    tree = miniatures.dfd(built("ff", tmp_path))
    assert {s.dataset for s in find_sources(tree)} == {"FF++", "DFD"}
    assert {s.dataset for s in find_sources(tree, layout="dfd")} == {"DFD"}
    shelf = tmp_path / "shelf"
    miniatures.celeb(shelf / "Celeb-DF-v2")
    miniatures.dfdc(shelf / "DFDC")
    assert {s.dataset for s in find_sources(shelf)} == {"Celeb-DF-v2", "DFDC"}


def test_hash_splits_keep_a_video_and_its_fakes_together(tmp_path: Path) -> None:
    homes: dict[str, set[str]] = {}
    for source in find_sources(built("ff", tmp_path), split="hash"):
        homes.setdefault(source.target, set()).add(split_of(source))
        assert source.split_reason.startswith("by hash")
    assert all(len(splits) == 1 for splits in homes.values())
    assert {split_of(s) for s in find_sources(tmp_path / "set", split="val")} == {"val"}


def test_folders_in_other_cases_and_splits_in_a_folder(tmp_path: Path) -> None:
    root = built("celeb_v2", tmp_path)
    (root / "Celeb-real").rename(root / "CELEB-REAL")
    (root / "YouTube-real").rename(root / "Youtube-real")
    assert {brief(s) for s in find_sources(root)} == EXPECTED["celeb_v2"]
    tree = miniatures.ff(tmp_path / "ff")
    (tree / "splits").mkdir()
    for split in ("train", "val", "test"):
        (tree / f"{split}.json").rename(tree / "splits" / f"{split}.json")
    assert {brief(s) for s in find_sources(tree)} == _FF_SOURCES


def test_unknown_layout_and_its_list(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"layout: expected one of ff\+\+, .*, got nonsense"):
        find_sources(tmp_path, layout="nonsense")
    miniatures.real_fake(tmp_path / "set")
    for layout in LAYOUTS:
        if layout.name not in ("real-fake", "folder", "uadfv", "sbi-tree", "df40"):  # those find something in it
            with pytest.raises(InputError, match=f"set: does not look like {re.escape(layout.name)}, which is"):
                find_sources(tmp_path / "set", layout=layout.name)
    assert main(["--layout", "list"]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == describe_layouts().strip()
    assert all(layout.name in printed for layout in LAYOUTS)
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)


def here(source: Path, out: Path, **options: object) -> list[tuple[str, str, str]]:
    manifest = prepare(source, out, workers=0, frames=2, analyzer=makers.ColourAnalyzer, quiet=True, **options)  # type: ignore[arg-type]
    assert len(manifest.faces) == sum(v.frames_with_face for v in manifest.videos)
    return [(v.split, v.status, v.reason) for v in manifest.videos]


@pytest.mark.parametrize("name", NAMES)
def test_is_prepared(name: str, tmp_path: Path) -> None:
    fates = here(built(name, tmp_path), tmp_path / "out")
    assert fates == [(split, "prepared", "") for *_, split in sorted(EXPECTED[name])]


@pytest.mark.parametrize("name", ["sbi_tree", "deepfakebench"])
def test_faces_computed_elsewhere_are_reused(name: str, tmp_path: Path) -> None:
    root = built(name, tmp_path)
    manifest = prepare(root, tmp_path / "out", workers=0, frames=8, precomputed=True, quiet=True)
    prepared = {v.key for v in manifest.videos if v.status == "prepared"}
    with_files = {k for k in (v.key for v in manifest.videos) if name == "deepfakebench" or (k[1] != "FaceShifter" and "raw/" not in k[2])}
    assert prepared == with_files
    assert {v.reason for v in manifest.videos if v.status == "failed"} <= {
        "has no frames/ and landmarks/ next to it: prepare it with --landmarks models"
    }
    (face,) = makers.ColourAnalyzer()(makers.picture())
    row = manifest.faces[0]
    corner = [row.origin[0], row.origin[1]] * 2
    grown = 3 if name == "sbi_tree" else 0
    assert (row.box + corner).tolist() == pytest.approx(
        [v + g for v, g in zip(face.box, (-grown, -grown, grown, grown), strict=True)], abs=0.6
    )
    assert {v.frames for v in manifest.videos if v.key in prepared} == {2}


def test_landmark_files_that_cannot_be_used_fail_by_name(tmp_path: Path) -> None:
    import numpy as np

    root = built("sbi_tree", tmp_path)
    at = root / "original_sequences/youtube/c23/landmarks"
    np.save(at / "000/001.npy", np.zeros((1, 5, 2)))
    for file in (at / "003").iterdir():
        file.unlink()
    (at / "010/001.npy").unlink()
    manifest = prepare(root, tmp_path / "out", workers=0, precomputed=True, quiet=True, layout="ff++")
    fate = {v.video: v for v in manifest.videos if not v.method}
    assert "001.npy expected numbers [n, 81, 2] or [n, 68, 2], got float64 [1, 5, 2]" in fate["c23/000"].reason
    assert "holds no landmark file for any of the 2 frames" in fate["c23/003"].reason
    assert (fate["c23/010"].status, fate["c23/010"].frames, fate["c23/010"].frames_with_face) == ("prepared", 2, 1)


def test_manifest_says_where_split_and_identities_come_from(tmp_path: Path) -> None:
    manifest = prepare(built("ff", tmp_path), tmp_path / "out", workers=0, frames=1, analyzer=makers.ColourAnalyzer, quiet=True)
    record = {v.key: v for v in manifest.videos}["FF++", "Deepfakes", "c23/020_021"]
    assert (record.compression, record.target, record.donor, record.split_reason) == ("c23", "020", "021", "test.json")


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("ff", "val.json", None, r"val\.json: is missing: .*--split hash, train, val or test"),
        ("ff", "val.json", "{", r"val\.json: is not JSON"),
        ("ff", "val.json", '[["010"]]', r"val\.json: entry 0: expected a pair of ids"),
        ("ff", "val.json", '[["010", "020"]]', r"test\.json: has the id 020, which val\.json has too"),
        ("celeb_v2", "List_of_testing_videos.txt", None, "List_of_testing_videos.txt: is missing"),
        ("celeb_v2", "List_of_testing_videos.txt", "2 Celeb-real/a.mp4\n", "line 1: expected '1 Celeb-real/name.mp4'"),
        ("celeb_v2", "List_of_testing_videos.txt", "\n", "names no video"),
        ("celeb_v2", "List_of_testing_videos.txt", "0 Celeb-real/id0_0000.mp4\n", "calls Celeb-real/id0_0000.mp4 fake, .*1 is real"),
        ("celeb_v2", "List_of_testing_videos.txt", "1 Celeb-real/a.mp4\n1 Celeb-real/A.mp4\n", "line 2: Celeb-real/A.mp4 is in line 1 too"),
        ("dfdc", "labels.csv", "filename,label\naaa.mp4,2\n", "line 2: label: expected 0 or 1, got '2'"),
        ("dfdc", "labels.csv", "filename,label\naaa.mp4,1\naaa.mp4,0\n", "line 3: aaa.mp4 is there twice"),
        ("dfdc_parts", "train/dfdc_train_part_0/metadata.json", '{"aaa.mp4": {"label": "real"}}', "expected REAL or FAKE, got 'real'"),
        ("dfdcp", "dataset.json", None, "dataset.json: is missing"),
        ("dfdcp", "dataset.json", '{"method_A/x.mp4": {"label": "fake", "set": "dev"}}', "set: expected train, val or test"),
        ("dfdcp", "dataset.json", '{"method_A/x.mp4": {"label": "fake", "set": ["x"]}}', "set: expected train, val or test"),
        ("dfdcp", "dataset.json", '{"method_A/x.mp4": {"label": "real", "set": "test"}}', "calls it real, its folder says otherwise"),
        ("deeperforensics", "lists/splits/test.txt", None, r"test\.txt: is missing"),
        ("deeperforensics", "lists/splits/test.txt", "000_M101.mp4\n", r"names 000_M101, which train\.txt names too"),
        ("deeperforensics", "lists/splits/test.txt", "what\n", "expected names such as 000_M101.mp4, got 'what'"),
    ],
)
def test_faulty_lists_are_named_and_nothing_is_read(name: str, file: str, text: str | None, message: str, tmp_path: Path) -> None:
    root = built(name, tmp_path)
    (root / file).unlink()
    if text is not None:
        miniatures.put_text(root / file, text)
    with pytest.raises(InputError, match=message):
        find_sources(root)
    with pytest.raises(InputError, match=message):
        prepare(root, tmp_path / "out", workers=0, analyzer=makers.ColourAnalyzer, quiet=True)


def test_without_split_files_the_split_can_be_given(tmp_path: Path) -> None:
    root = built("ff", tmp_path)
    for split in ("train", "val", "test"):
        (root / f"{split}.json").unlink()
    assert len(find_sources(root, split="hash")) == len(find_sources(root, split="test")) == len(_FF_SOURCES)


def test_lists_and_disk_that_disagree(tmp_path: Path) -> None:
    root = built("celeb_v2", tmp_path)
    (root / "Celeb-synthesis/id1_id0_0000.mp4").unlink()
    found = survey(root)
    assert [(f.level, f.code, Path(f.path).name) for f in found.findings] == [("warning", "listed_not_on_disk", "id1_id0_0000.mp4")]
    assert {brief(s) for s in found.sources} == EXPECTED["celeb_v2"]
    assert [(s, r) for _, s, r in here(root, tmp_path / "out") if s == "failed"] == [("failed", "no such file")]

    tree = miniatures.ff(tmp_path / "ff")
    miniatures.put(tree / "original_sequences/youtube/c23/videos/999.mp4")
    miniatures.put(tree / "manipulated_sequences/Deepfakes/c23/videos/000_010.mp4")
    (tree / "manipulated_sequences/Deepfakes/c23/videos/003_000.mp4").unlink()
    found = survey(tree)
    assert {(f.code, Path(f.path).stem) for f in found.findings} == {
        ("not_in_split", "999"),
        ("not_in_split", "000_010"),
        ("listed_not_on_disk", "003_000"),
    }
    assert {s.path.stem for s in found.left_out} == {"999", "000_010"}
    assert len(found.warnings()) == 2
    assert "999" in {s.path.stem for s in find_sources(tree, split="hash")}

    parts = miniatures.dfdc_parts(tmp_path / "dfdc")
    miniatures.put(parts / "train/dfdc_train_part_0/zzz.mp4")
    (parts / "test/videos/ccc.mp4").unlink()
    assert {(f.code, Path(f.path).stem) for f in survey(parts).findings} == {("not_listed", "zzz"), ("listed_not_on_disk", "ccc")}


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    root = built("ff", tmp_path)
    video = root / "original_sequences/youtube/c23/videos/000.mp4"
    video.with_suffix(".avi").write_bytes(video.read_bytes())
    with pytest.raises(InputError, match=r"has the same name \(FF\+\+/c23/000\) as"):
        find_sources(root)


def test_deepfakebench_faults(tmp_path: Path) -> None:
    path = built("deepfakebench", tmp_path)
    content = json.loads(path.read_text())
    tree = content["FF-DF"]
    tree["FF-DF"]["train"]["c23"]["000_003"]["label"] = "FF-real"
    tree["FF-DF"]["val"]["c23"]["010_011"]["label"] = "swapped"
    tree["FF-real"]["test"]["c23"]["020"]["frames"] = []
    miniatures.put_frames(tmp_path / "set/datasets/FaceForensics++/original_sequences/youtube/c23/frames/000", 1, first=9)
    (tmp_path / "set/datasets/FaceForensics++/original_sequences/youtube/c23/frames/003/001.png").unlink()
    tree["FF-real"]["val"]["c23"]["gone"] = {"label": "FF-real", "frames": ["x/gone/0.png", "x/gone/1.png"]}
    path.write_text(json.dumps(content))
    codes = [f.code for f in survey(path).findings]
    for code in ("label_contradiction", "label_faulty", "no_frames", "frames_not_listed", "frames_missing", "listed_not_on_disk"):
        assert codes.count(code) == 1, code
    with pytest.raises(InputError, match="its label is 'FF-real'"):
        find_sources(path)


def test_several_splits_in_deepfakebench_are_said(tmp_path: Path) -> None:
    (note,) = survey(built("deepfakebench_celeb", tmp_path)).findings
    assert (note.level, note.code) == ("note", "several_splits")
    assert "2 videos are in more than one split; test counts before val before train" in note.text


def test_dead_links_are_named(tmp_path: Path) -> None:
    root = built("ff", tmp_path)
    video = root / "original_sequences/youtube/c23/videos/000.mp4"
    video.unlink()
    video.symlink_to(tmp_path / "unplugged.mp4")
    assert [(f.level, f.code, f.path) for f in survey(root).findings] == [("warning", "dead_link", str(video))]


def test_archives_that_were_not_unpacked(tmp_path: Path) -> None:
    root = built("wild", tmp_path)
    (root / "real_train/77.tar.gz").touch()
    assert [Path(f.path).name for f in survey(root).findings if f.code == "archive"] == ["77.tar.gz"]


@pytest.mark.slow
def test_every_layout_is_trained_on_and_evaluated(tmp_path: Path) -> None:
    """All miniatures, prepared, in one training run; then each is evaluated prepared, and some as they lie on disk."""
    torch = pytest.importorskip("torch")
    from fpg.cli import train
    from fpg.data.manifest import read_manifest
    from fpg.engines import load_engine
    from fpg.evaluate.protocol import plan, score
    from fpg.evaluate.summary import summarise

    torch.set_num_threads(1)
    sets: dict[str, tuple[Path, Path]] = {}
    for name in NAMES:
        root, out = built(name, tmp_path / name), tmp_path / "prepared" / name
        prepare(root, out, workers=0, frames=1, dataset=name, analyzer=makers.ColourAnalyzer, quiet=True)
        sets[name] = root, out
    learnable = [out for _, out in sets.values() if read_manifest(out).select(split="train", label=0).faces]
    assert len(learnable) >= 10  # the others are for testing only
    small = ["--model.backbone", "test_efficientnet", "--model.pretrained", "false", "--model.image_size", "64", "--device", "cpu"]
    small += ["--batch", "8", "--epochs", "1", "--workers", "0", "--threads", "1", "--pictures", "1", "--frames_per_video", "1"]
    weights = tmp_path / "run" / "model.safetensors"
    assert train.main(["--data", *map(str, learnable), "--out", str(weights.parent), *small]) == 0
    engine = load_engine(weights, device="cpu")

    def evaluated(path: Path, split: str | None = None) -> dict[str, object]:
        chosen = plan([path], engine, makers.ColourAnalyzer, split=split, frames=1, highlights=0)
        return summarise(list(score(chosen.items)), chosen.notes, 0.5, 1, resamples=20)

    for name, (_, out) in sets.items():
        result = evaluated(out)
        tested = sum(split == "test" for *_, split in EXPECTED[name])
        assert (result["videos"], result["scored"], result["failed"]) == (tested, tested, 0), name
        assert isinstance(result["auc"], float), name
    for name in ("ff", "celeb_v2", "dfdc", "deepfakebench", "wild", "csv"):
        raw, whole = evaluated(sets[name][0]), evaluated(sets[name][0], "all")
        assert raw["auc"] == evaluated(sets[name][1])["auc"], name
        assert whole["scored"] == len(EXPECTED[name]), name
