"""Pairs by the batch against `make_pair`, one at a time."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from one_pair import FIELDS, one_pair

from fpg.common.landmarks import HULL_FAMILIES
from fpg.common.rectangles import Box
from fpg.common.rng import stream
from fpg.ops.backend import backend
from fpg.ops.ragged import RaggedBatch
from fpg.pairs import AugmentConfig, PairParams, Pairs, SelfBlend, collate_pairs, draw_pair, opencv, prepare_pair
from fpg.pairs.draws import ColorParams
from fpg.pairs.geometry import mirror_box, mirror_landmarks
from fpg.pairs.operations import warp

SIZE = 64
Face = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def native() -> None:
    if backend() != "native":
        pytest.skip("fpg._C is not built")


@pytest.fixture(scope="module")
def shape(vectors: Path) -> np.ndarray:
    """81 landmarks; the box of the first 68 is the unit square."""
    landmarks = np.load(vectors / "hulls.npz")["lm0"]
    low, high = landmarks[:68].min(0), landmarks[:68].max(0)
    return (landmarks - low) / (high - low)


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth shapes with a little noise, as photographs have it."""
    coarse = rng.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.clip(smooth + rng.integers(-4, 5, smooth.shape), 0, 255).astype(np.uint8)


def random_face(rng: np.random.Generator, shape: np.ndarray, height: int, width: int, points: int = 81) -> Face:
    """A face somewhere in an image, sometimes sticking out of it."""
    size = rng.uniform(0.4, 0.8, 2) * (width, height)
    corner = rng.uniform(-0.1, 0.5, 2) * (width, height)
    landmarks = (shape * size + corner)[:points]
    box = np.concatenate([corner - rng.uniform(0, 0.1) * size, corner + rng.uniform(0.9, 1.1) * size])
    return picture(rng, height, width), landmarks, box


def make(faces: list[Face], params: list[PairParams], size: int = SIZE, device: str = "cpu") -> Pairs:
    images, landmarks, boxes = zip(*faces, strict=True)
    return SelfBlend(size=size, device=device)(images, landmarks, boxes, params)


def plain(params: PairParams) -> PairParams:
    """Without the steps that turn one level of difference into several: JPEG quantisation and the hue of grey."""
    nothing = ColorParams(None, None, None)
    return dataclasses.replace(params, jpeg_quality=None, photometric=nothing)


def test_within_two_levels_of_make_pair_before_the_shared_change(native: None, shape: np.ndarray) -> None:
    rng = np.random.default_rng(20261123)
    sizes = [(int(h), int(w)) for h, w in rng.integers(60, 260, (24, 2))]
    faces = [random_face(rng, shape, *size, points=68 if i % 5 == 0 else 81) for i, size in enumerate(sizes)]
    params = [plain(draw_pair(rng)) for _ in faces]
    got = make(faces, params)
    far = dict.fromkeys(FIELDS, 0)
    for index, (face, drawn) in enumerate(zip(faces, params, strict=True)):
        expected = one_pair(*face, drawn, size=SIZE)
        for name in FIELDS:
            difference = np.abs(getattr(got, name)[index].numpy() - getattr(expected, name)) * 255
            far[name] += int((difference > 2.01).sum())
            assert difference.max() < (64 if name == "mask" else 20), (name, index, drawn)
    # OpenCV rounds the last columns of HSV images otherwise than the rest (see change_color), and sharpening makes that visible
    assert max(far.values()) < 4e-3 * got.fake.numel(), far


def test_within_two_levels_of_make_pair_with_the_same_warp(native: None, shape: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole chain, JPEG included, where OpenCV's own roundings (of warps and HSV) do not come in."""

    def warp_image(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        rows = torch.tensor([[matrix[0, 0], matrix[0, 2], matrix[1, 1], matrix[1, 2]]])
        return warp(RaggedBatch.from_list([image]), rows).item(0).numpy()

    monkeypatch.setattr(opencv, "warp_image", warp_image)
    rng = np.random.default_rng(20261123)
    config = AugmentConfig(copy_hsv_probability=0, shared_hsv_probability=0, jpeg_probability=0.8)
    faces = [random_face(rng, shape, *(int(v) for v in rng.integers(100, 260, 2))) for _ in range(16)]
    params = [draw_pair(rng, config) for _ in faces]
    got = make(faces, params)
    far = dict.fromkeys(FIELDS, 0)
    for index, (face, drawn) in enumerate(zip(faces, params, strict=True)):
        expected = one_pair(*face, drawn, size=SIZE)
        same_mask = np.abs(got.mask[index].numpy() - expected.mask) < 1e-3
        for name in ("real", "source", "fake"):
            difference = np.abs(getattr(got, name)[index].numpy() - getattr(expected, name)) * 255
            far[name] += int(((difference > 2.01) & same_mask).sum())
    assert max(far.values()) < 5e-3 * got.fake.numel(), far  # JPEG makes a step of one rounded level


@pytest.mark.parametrize("backend_name", ["auto", "reference"])
def test_a_pair_does_not_depend_on_its_batch(shape: np.ndarray, monkeypatch: pytest.MonkeyPatch, backend_name: str) -> None:
    monkeypatch.setenv("FPG_BACKEND", backend_name)
    rng = np.random.default_rng(20261123)
    faces = [random_face(rng, shape, *(int(v) for v in rng.integers(20, 120, 2))) for _ in range(5)]
    params = [draw_pair(rng) for _ in faces]
    together = make(faces, params, 24)
    for index in range(len(faces)):
        for whole, alone in zip(together, make(faces[index : index + 1], params[index : index + 1], 24), strict=True):
            assert torch.equal(whole[index : index + 1], alone)


def test_the_reference_is_make_pair_on_the_window_alone(shape: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut out is all that the pair depends on: everything else is black here."""
    monkeypatch.setenv("FPG_BACKEND", "reference")
    rng = np.random.default_rng(20261123)
    config = AugmentConfig(down_scales=(2, 3, 4, 7))
    faces = [random_face(rng, shape, *(int(v) for v in rng.integers(8, 200, 2))) for _ in range(30)]
    params = [draw_pair(rng, config) for _ in faces]
    got = make(faces, params, 32)
    for index, (face, drawn) in enumerate(zip(faces, params, strict=True)):
        expected = one_pair(*face, drawn, size=32)
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(got, name)[index].numpy(), getattr(expected, name))


@pytest.mark.parametrize("family", HULL_FAMILIES)
def test_mirroring_is_mirroring_the_image(native: None, shape: np.ndarray, family: str) -> None:
    rng = np.random.default_rng(1)
    image, landmarks, box = random_face(rng, shape, 90, 83)
    params = dataclasses.replace(draw_pair(rng), mirror=True, family=family)
    flipped = (np.ascontiguousarray(image[:, ::-1]), mirror_landmarks(landmarks, 83), mirror_box(Box(*box), 83))
    expected = make([flipped], [dataclasses.replace(params, mirror=False)])
    for a, b in zip(make([(image, landmarks, box)], [params]), expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("backend_name", ["auto", "reference"])
def test_tiny_images_and_faces_at_the_border(shape: np.ndarray, monkeypatch: pytest.MonkeyPatch, backend_name: str) -> None:
    monkeypatch.setenv("FPG_BACKEND", backend_name)
    rng = np.random.default_rng(20261123)
    faces: list[Face] = []
    for height, width in [(1, 1), (2, 2), (2, 30), (5, 3), (17, 1), (16, 33)] * 2:
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        faces.append((image, rng.random((81, 2)) * (width, height), np.array([0, 0, width, height])))
    for corner in ([-30, -40], [60, 70], [-30, 70]):
        landmarks = shape * 60 + corner
        faces.append((picture(rng, 100, 90), landmarks, np.array([*landmarks.min(0), *landmarks.max(0)])))
    pairs = make(faces, [draw_pair(rng) for _ in faces], 24)
    for value in pairs:
        assert value.dtype == torch.float32
        assert value.isfinite().all()
        assert value.min() >= 0
        assert value.max() <= 1


@pytest.mark.parametrize("backend_name", ["auto", "reference"])
def test_an_empty_mask_gives_the_background(shape: np.ndarray, monkeypatch: pytest.MonkeyPatch, backend_name: str) -> None:
    monkeypatch.setenv("FPG_BACKEND", backend_name)
    rng = np.random.default_rng(0)
    faces = [random_face(rng, shape, 120, 110) for _ in range(2)]
    landmarks = faces[0][1].copy()
    landmarks[:, 1] = -30 - np.abs(landmarks[:, 1]) % 7
    landmarks[60] = (50, 110)  # of no component: keeps the context crop on the picture
    faces[0] = (faces[0][0], landmarks, np.array([20, 20, 90, 100]))
    params = [dataclasses.replace(draw_pair(rng), family="components", points=68, mirror=False) for _ in faces]
    pairs = make(faces, params)
    assert not pairs.mask[0].any()
    assert torch.equal(pairs.fake[0], pairs.real[0])
    assert pairs.mask[1].any()


def test_unusable_faces_are_named(shape: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    good = random_face(rng, shape, 60, 50)
    nan = good[1].copy()
    nan[3] = np.nan
    cases: list[tuple[Face, str]] = [
        ((good[0], nan, good[2]), "face 1: landmarks: expected finite coordinates"),
        ((good[0], good[1], good[2] * np.nan), "face 1: box: expected finite"),
        ((good[0], good[1] + 4000, good[2]), "face 1: box: expected to meet the image"),
        ((good[0].astype(np.float32), good[1], good[2]), "face 1: image: expected uint8"),
        ((good[0][:0], good[1], good[2]), "face 1: image: expected uint8"),
        ((good[0], good[1][:5], good[2]), r"face 1: landmarks: expected \[68 or 81, 2\]"),
    ]
    for face, message in cases:
        with pytest.raises(ValueError, match=message):
            make([good, face], [draw_pair(rng), draw_pair(rng)])


def test_wrong_calls(shape: np.ndarray) -> None:
    image, landmarks, box = random_face(np.random.default_rng(0), shape, 60, 50)
    blend = SelfBlend(size=16)
    with pytest.raises(ValueError, match="draws: expected 2, one per image, got 1"):
        blend([image] * 2, [landmarks] * 2, [box] * 2, [draw_pair(np.random.default_rng(0))])
    with pytest.raises(ValueError, match="boxes: expected 1, one per image, got 2"):
        blend([image], [landmarks], [box] * 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="images: expected at least one"):
        blend([], [], [], np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected with images, got None"):
        blend([image])
    with pytest.raises(ValueError, match="size: expected at least 1"):
        SelfBlend(size=0)


def test_quality_0_is_libjpegs_quality_1(native: None, shape: np.ndarray) -> None:
    """`AugmentConfig` allows it, and `make_pair` hands it to libjpeg."""
    rng = np.random.default_rng(0)
    face = random_face(rng, shape, 90, 80)
    params = draw_pair(rng)
    zero, one, without = (make([face], [dataclasses.replace(params, jpeg_quality=quality)]) for quality in (0, 1, None))
    assert torch.equal(zero.real, one.real)
    assert not torch.equal(zero.real, without.real)
    pairs = [one_pair(*face, dataclasses.replace(params, jpeg_quality=quality), size=SIZE) for quality in (0, 1)]
    np.testing.assert_array_equal(pairs[0].real, pairs[1].real)


def test_a_prepared_batch_survives_pickling(shape: np.ndarray) -> None:
    rng = np.random.default_rng(20261123)
    faces = [random_face(rng, shape, 70, 60 + i) for i in range(3)]
    prepared = collate_pairs([prepare_pair(*face, draw_pair(rng)) for face in faces])
    blend = SelfBlend(size=20)
    for a, b in zip(blend(pickle.loads(pickle.dumps(prepared))), blend(prepared), strict=True):
        assert torch.equal(a, b)


def test_earlier_results_stay_as_they_are(shape: np.ndarray) -> None:
    """Memory is used again, but not while somebody looks at it."""
    rng = np.random.default_rng(20261123)
    face = random_face(rng, shape, 70, 60)
    blend = SelfBlend(size=200)
    first = blend([face[0]], [face[1]], [face[2]], rng)
    copies = [value.clone() for value in first]
    for _ in range(3):
        blend([face[0]], [face[1]], [face[2]], rng)
    for value, copy in zip(first, copies, strict=True):
        assert torch.equal(value, copy)


@pytest.mark.cuda
@pytest.mark.parametrize("count", [1, 9])
def test_cuda_makes_the_pairs_of_the_cpu(native: None, shape: np.ndarray, count: int) -> None:
    if backend("cuda") != "native":
        pytest.skip("fpg._C was built without CUDA")
    rng = np.random.default_rng(20261123)
    faces = [random_face(rng, shape, *(int(v) for v in rng.integers(30, 200, 2))) for _ in range(count)]
    params = [draw_pair(rng) for _ in faces]
    for a, b in zip(make(faces, params, device="cuda"), make(faces, params), strict=True):
        assert a.device.type == "cuda"
        assert (a.cpu() - b).abs().max() <= 2 / 255 + 1e-6


@pytest.mark.cuda
def test_cuda_on_several_streams_at_once_and_again(native: None, shape: np.ndarray) -> None:
    """Batches in flight together, of different sizes, do not disturb each other; the same batch gives the same bits every time."""
    if backend("cuda") != "native":
        pytest.skip("fpg._C was built without CUDA")
    rng = np.random.default_rng(20261127)
    blend = SelfBlend(size=SIZE, device="cuda")
    batches = []
    for count in (1, 4, 7):
        faces = [random_face(rng, shape, *(int(v) for v in rng.integers(1, 300, 2))) for _ in range(count)]
        batches.append(blend.prepare(*zip(*faces, strict=True), [draw_pair(rng) for _ in faces]).pin_memory())
    alone = [[part.cpu() for part in blend(batch)] for batch in batches]
    streams = [torch.cuda.Stream() for _ in batches]
    for _ in range(3):
        together = []
        for stream_, batch in zip(streams, batches, strict=True):
            with torch.cuda.stream(stream_):
                together.append(blend(batch))
        torch.cuda.synchronize()
        for pairs, expected in zip(together, alone, strict=True):
            assert all(torch.equal(part.cpu(), e) for part, e in zip(pairs, expected, strict=True))


@pytest.mark.cuda
def test_cuda_does_not_wait(native: None, shape: np.ndarray) -> None:
    if backend("cuda") != "native":
        pytest.skip("fpg._C was built without CUDA")
    rng = np.random.default_rng(0)
    faces = [random_face(rng, shape, 90, 80) for _ in range(3)]
    blend = SelfBlend(size=SIZE, device="cuda")
    images, landmarks, boxes = zip(*faces, strict=True)
    prepared = blend.prepare(images, landmarks, boxes, rng).pin_memory()
    blend(prepared)
    torch.cuda.set_sync_debug_mode("error")
    try:
        blend(prepared)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_draws_from_a_generator_are_those_of_draw_pair(shape: np.ndarray) -> None:
    faces = [random_face(np.random.default_rng(i), shape, 80, 70) for i in range(3)]
    rng = stream(3, "batch")
    params = [draw_pair(rng) for _ in faces]
    images, landmarks, boxes = zip(*faces, strict=True)
    drawn = SelfBlend(size=16)(images, landmarks, boxes, stream(3, "batch"))
    for a, b in zip(drawn, make(faces, params, 16), strict=True):
        assert torch.equal(a, b)
