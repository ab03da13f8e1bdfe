"""Every perturbation at every level against its definition, written again with NumPy or another library, on fresh images of odd sizes."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn, idctn

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.evaluate.perturbations import ALL, BY_NAME, Cell, perturb, select

SIZES = [(37, 53), (101, 64), (1, 9), (283, 311)]

# The published parameters (DeeperForensics-1.0, perturbation code, get_distortion_parameter), typed again.
PUBLISHED = {
    "CS": [0.4, 0.3, 0.2, 0.1, 0.0],
    "CC": [0.85, 0.725, 0.6, 0.475, 0.35],
    "BW": [16, 32, 48, 64, 80],
    "GNC": [0.001, 0.002, 0.005, 0.01, 0.05],
    "GB": [7, 9, 13, 17, 21],
    "JPEG": [2, 3, 4, 5, 6],
    "VC": [30, 32, 35, 38, 40],
}


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth colours with grain, covering 0 to 255."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * rng.uniform(0.05, 0.4) + rng.uniform(0, 6)) + np.cos(y * rng.uniform(0.05, 0.4)) for _ in range(3)]
    return np.clip(127.5 + 80 * np.stack(waves, -1) + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def cells(name: str) -> list[Cell]:
    return [Cell(BY_NAME[name], level) for level in range(1, 6)]


def run(image: np.ndarray, cell: Cell, seed: int = 5, video: str = "v", index: int = 3) -> np.ndarray:
    before = image.copy()
    result = perturb(image, cell, seed, video, index)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(image, before)
    return result


def close(got: np.ndarray, wanted: np.ndarray, most: float = 1.0, mean: float = 0.02) -> None:
    """Same shape; differences of at most one level, and those rare: only where rounding falls the other way."""
    assert got.shape == wanted.shape
    difference = np.abs(got.astype(np.float64) - np.trunc(wanted))
    assert difference.max(initial=0) <= most
    assert difference.mean() <= mean


def test_levels_are_the_published_ones() -> None:
    assert {p.code: list(p.levels) for p in ALL if p.published} == PUBLISHED
    assert all(len(p.levels) == 5 for p in ALL)
    assert {p.name for p in ALL if p.codec} == {"compression", "h264", "h265"}


# -- saturation, contrast, noise: float64, matrices instead of OpenCV

FORWARD = np.array([[0.299, 0.587, 0.114], [0, 0, 0], [0, 0, 0]])
FORWARD[1] = 0.564 * (np.array([0, 0, 1]) - FORWARD[0])  # Cb
FORWARD[2] = 0.713 * (np.array([1, 0, 0]) - FORWARD[0])  # Cr
BACK = np.array([[1, 0, 1.403], [1, -0.344, -0.714], [1, 1.773, 0]])
OFFSET = np.array([0, 0.5, 0.5])
SPAN = np.array([219, 224, 224])


def to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    return ((rgb.astype(np.float64) @ FORWARD.T + OFFSET) * SPAN + 16) / 255


def to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    return np.clip(((ycbcr * 255 - 16) / SPAN - OFFSET) @ BACK.T, 0, 255)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", range(1, 6))
def test_saturation(rng: np.random.Generator, size: tuple[int, int], level: int) -> None:
    image, factor = picture(rng, *size), PUBLISHED["CS"][level - 1]
    ycbcr = to_ycbcr(image)
    ycbcr[..., 1:] = 0.5 + factor * (ycbcr[..., 1:] - 0.5)
    got = run(image, Cell(BY_NAME["saturation"], level))
    close(got, to_rgb(ycbcr))
    if factor == 0:
        assert np.ptp(got.astype(int), axis=-1).max() <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", range(1, 6))
def test_contrast(rng: np.random.Generator, size: tuple[int, int], level: int) -> None:
    image = picture(rng, *size)
    exact = [850, 725, 600, 475, 350][level - 1]
    close(run(image, Cell(BY_NAME["contrast"], level)), image.astype(np.int64) * exact // 1000)


@pytest.mark.parametrize("level", range(1, 6))
def test_noise(rng: np.random.Generator, level: int) -> None:
    image, variance = picture(rng, 83, 61), PUBLISHED["GNC"][level - 1]
    draws = stream(5, "perturbation", "noise", "v", 3).standard_normal((83, 61, 3), np.float32)
    wanted = to_rgb((to_ycbcr(image) / 255 + np.sqrt(variance) * draws) * 255)
    close(run(image, Cell(BY_NAME["noise"], level)), wanted)


@pytest.mark.parametrize("level", range(1, 6))
def test_noise_has_the_stated_strength(level: int) -> None:
    grey = np.full((300, 300, 3), 128, np.uint8)
    got = run(grey, Cell(BY_NAME["noise"], level)).astype(np.float64)
    luma = got @ FORWARD[0]
    if level <= 3:  # stronger noise is clipped at 0 and 255
        assert luma.std() == pytest.approx(255**2 / 219 * np.sqrt(PUBLISHED["GNC"][level - 1]), rel=0.02)
        assert np.corrcoef(luma[:, :-1].ravel(), luma[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.02)


# -- blocks


@pytest.mark.parametrize("size", [(256, 300), (255, 700), (520, 601), (37, 53)])
@pytest.mark.parametrize("level", range(1, 6))
def test_blocks(rng: np.random.Generator, size: tuple[int, int], level: int) -> None:
    image = rng.integers(130, 256, (*size, 3), dtype=np.uint8)  # no grey of 128 in it
    count = min(size) // 256 * PUBLISHED["BW"][level - 1]
    got = run(image, Cell(BY_NAME["blocks"], level))
    draws = stream(5, "perturbation", "blocks", "v", 3)
    covered = np.zeros(size, bool)
    for _ in range(int(count)):  # one coordinate at a time
        x, y = (int(draws.integers(0, size[axis] - 8)) for axis in (1, 0))
        assert 0 <= x <= size[1] - 9
        assert 0 <= y <= size[0] - 9
        covered[y : y + 8, x : x + 8] = True
    np.testing.assert_array_equal(covered, (got == 128).all(-1))
    np.testing.assert_array_equal(got[~covered], image[~covered])
    assert covered.any() == (count > 0)


# -- blur


def blurred(image: np.ndarray, kernel: int) -> np.ndarray:
    """Convolution with a sampled Gaussian in float64; mirrored, the edge pixel not repeated."""
    taps = np.exp(-(np.arange(-(kernel // 2), kernel // 2 + 1) ** 2) / (2 * (kernel / 6) ** 2))
    taps /= taps.sum()
    result = image.astype(np.float64)
    for axis in (0, 1):
        length = image.shape[axis]
        positions = np.arange(-(kernel // 2), length + kernel // 2)
        period = max(1, 2 * (length - 1))
        folded = np.abs((positions + length - 1) % period - (length - 1)) if length > 1 else np.zeros_like(positions)
        padded = np.take(result, folded, axis=axis)
        result = sum(t * np.take(padded, np.arange(i, i + length), axis=axis) for i, t in enumerate(taps))
    return result


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", range(1, 6))
def test_blur(rng: np.random.Generator, size: tuple[int, int], level: int) -> None:
    image = picture(rng, *size)
    got = run(image, Cell(BY_NAME["blur"], level)).astype(np.float64)
    wanted = blurred(image, int(PUBLISHED["GB"][level - 1]))
    assert np.abs(got - wanted).max() <= 1.5  # OpenCV's kernel for 8 bits has weights in 256ths
    assert np.abs(got - wanted).mean() <= 0.5  # rounding alone makes 0.25


# -- pixelation, resize


def bilinear(length: int, source: int) -> np.ndarray:
    """[length, source]: pixel centres at (i + 0.5) source / length - 0.5, clamped at the border."""
    at = np.clip((np.arange(length) + 0.5) * source / length - 0.5, 0, source - 1)
    low = np.minimum(np.floor(at).astype(int), source - 1)
    matrix = np.zeros((length, source))
    matrix[np.arange(length), low] += 1 - (at - low)
    matrix[np.arange(length), np.minimum(low + 1, source - 1)] += at - low
    return matrix


def area(length: int, source: int) -> np.ndarray:
    """[length, source]: fraction of each source pixel in the interval that a pixel covers."""
    edges = np.arange(length + 1) * source / length
    low, high = np.maximum(edges[:-1, None], np.arange(source)), np.minimum(edges[1:, None], np.arange(source) + 1)
    return np.maximum(high - low, 0) * length / source


def apply(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.einsum("ij,jkc,lk->ilc", rows, image.astype(np.float64), columns, optimize=True)


@pytest.mark.parametrize("size", [*SIZES, (5, 4)])
@pytest.mark.parametrize("level", range(1, 6))
def test_pixelation(rng: np.random.Generator, size: tuple[int, int], level: int) -> None:
    image, factor = picture(rng, *size), int(PUBLISHED["JPEG"][level - 1])
    small = [max(1, side // factor) for side in size]
    down = np.rint(apply(image, bilinear(small[0], size[0]), bilinear(small[1], size[1])))
    wanted = apply(down, bilinear(size[0], small[0]), bilinear(size[1], small[1]))
    got = run(image, Cell(BY_NAME["pixelation"], level)).astype(np.float64)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 2.1  # two roundings to 8 bits, OpenCV's with 11-bit weights
    if got.size >= 3000:  # on a handful of pixels one rounding is the mean
        assert np.abs(got - wanted).mean() <= 0.45


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("level", "fraction"), [(1, (3, 4)), (2, (1, 2)), (3, (3, 8)), (4, (1, 4)), (5, (1, 8))])
def test_resize(rng: np.random.Generator, size: tuple[int, int], level: int, fraction: tuple[int, int]) -> None:
    image = picture(rng, *size)
    small = [max(1, (2 * side * fraction[0] + fraction[1]) // (2 * fraction[1])) for side in size]  # rounded half up, in integers
    wanted = apply(image, area(small[0], size[0]), area(small[1], size[1]))
    got = run(image, Cell(BY_NAME["resize"], level)).astype(np.float64)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1.01


# -- JPEG

LUMA = np.array(  # ITU-T T.81, table K.1
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
QUALITIES = [90, 70, 50, 30, 10]


@pytest.mark.parametrize("level", range(1, 6))
def test_jpeg_of_grey_is_the_transform_of_the_standard(rng: np.random.Generator, level: int) -> None:
    grey = picture(rng, 45, 59)[..., 0]
    quality = QUALITIES[level - 1]
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = np.clip((LUMA * scale + 50) // 100, 1, 255)
    padded = np.pad(grey.astype(np.float64), ((0, 3), (0, 5)), mode="edge") - 128
    blocks = padded.reshape(6, 8, 8, 8).transpose(0, 2, 1, 3)
    levels = np.rint(dctn(blocks, axes=(2, 3), norm="ortho") / table)
    decoded = idctn(levels * table, axes=(2, 3), norm="ortho").transpose(0, 2, 1, 3).reshape(48, 64) + 128
    wanted = np.clip(decoded, 0, 255)[:45, :59]
    got = run(np.repeat(grey[..., None], 3, 2), Cell(BY_NAME["jpeg"], level))
    assert np.ptp(got.astype(int), axis=-1).max() == 0
    error = np.abs(got[..., 0] - wanted)
    whole = error[:40, :56].reshape(5, 8, 7, 8).max((1, 3))
    assert (whole <= 1.01).mean() >= 0.4  # in the others the encoder's integer transform rounds some coefficient the other way
    assert np.median(error) <= 0.4
    assert error.max() <= 2 + table.max() / 2


@pytest.mark.parametrize("size", [(37, 53), (101, 64)])
@pytest.mark.parametrize("level", range(1, 6))
def test_jpeg_in_colour_is_another_librarys(rng: np.random.Generator, size: tuple[int, int], level: int) -> None:
    image = picture(rng, *size)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITIES[level - 1], subsampling="4:2:0")
    wanted = np.asarray(Image.open(buffer).convert("RGB")).astype(np.float64)
    error = np.abs(run(image, Cell(BY_NAME["jpeg"], level)) - wanted)
    assert np.quantile(error, 0.99) <= 3
    assert error.mean() <= 0.7


# -- draws, selection, wrong use


@pytest.mark.parametrize("name", ["noise", "blocks"])
def test_draws_belong_to_seed_video_and_frame(rng: np.random.Generator, name: str) -> None:
    image = picture(rng, 260, 270)
    cell = Cell(BY_NAME[name], 2)
    first = run(image, cell)
    np.testing.assert_array_equal(first, run(image, cell))
    for other in ({"seed": 6}, {"video": "w"}, {"index": 4}):
        assert (first != run(image, cell, **other)).any()  # type: ignore[arg-type]


def test_levels_are_nested(rng: np.random.Generator) -> None:
    image = rng.integers(130, 256, (260, 270, 3), dtype=np.uint8)
    grey = [(run(image, cell) == 128).all(-1) for cell in cells("blocks")]
    for weak, strong in pairwise(grey):
        assert strong[weak].all()
        assert strong.sum() > weak.sum()


@pytest.mark.parametrize("name", [p.name for p in ALL if not p.codec])
def test_levels_get_worse(rng: np.random.Generator, name: str) -> None:
    image = picture(rng, 264, 280)
    results = [run(image, cell) for cell in cells(name)]
    loss = [-r.size if name == "resize" else ((r.astype(float) - image) ** 2).mean() for r in results]
    assert loss == sorted(loss)
    assert len(set(loss)) == 5


def test_selection() -> None:
    assert len(select("all")) == 70
    assert {c.perturbation.name for c in select("chains")} == {"messenger", "screenshot", "screen_recording"}
    assert [c.parameter for c in select("attack")] == [1, 2, 3, 4, 8]
    field = select("field")
    assert len(field) == 35
    assert all(c.perturbation.published for c in field)
    assert [(c.perturbation.name, c.level) for c in select(" GB, blur ,noise", quick=True)] == [
        (name, level) for name in ("blur", "noise") for level in (1, 3, 5)
    ]
    assert select("jpeg")[0].perturbation.title == "JPEG"  # never the published code, which means pixelation
    for wrong in ("", "blurr", "blur,,noise"):
        with pytest.raises(UsageError, match="expected all, field"):
            select(wrong)


def test_wrong_images_are_refused() -> None:
    cell = Cell(BY_NAME["blur"], 1)
    for image in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            perturb(image, cell, 0, "v", 0)
    with pytest.raises(ValueError, match="whole video"):
        perturb(np.zeros((4, 4, 3), np.uint8), Cell(BY_NAME["h264"], 1), 0, "v", 0)
