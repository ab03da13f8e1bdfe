"""Shape refinement: against a plain NumPy version, sample by sample, on fresh random input with degenerate cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fpg.guidance.draws import RefeatherParams
from fpg.guidance.shape import kernel_feathering, opencv_feathering, shape_refinement
from fpg.ops.backend import native_built
from fpg.ops.feathering import refeather_reference as refeather

H, W = 40, 52


def slow_shape_refinement(b: np.ndarray, f: np.ndarray, m: np.ndarray, c: np.ndarray, p: float, u: float, draw: RefeatherParams, t: float):
    """One forgery: (f, m, refined, emptied); m [H, W]."""
    c = c / c.max() if c.max() > 0 else c
    mean = np.float32(c[c > 0].astype(np.float64).mean()) if (c > 0).any() else 0.0
    inside = m > 0
    dominant = (c > mean) & inside
    r = dominant.sum() / (inside.sum() + 1e-12)
    if not (r < t and p > 0.5 and inside.sum() > 1 and u < p):
        return f, m, False, False
    rest = inside & ~dominant
    soft = refeather(rest.astype(np.float32), draw.k_erode, draw.height, draw.width, draw.k1, draw.k2, draw.sigma)
    if not (soft > 0).any():
        return f, m, False, True
    return (1 - soft) * b + soft * f, soft, True, False


def random_case(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Smooth maps with and without zeros, boxes as masks; some maps or masks empty, full, or a single pixel."""
    case = {
        "b": rng.random((n, 3, H, W), np.float32),
        "f": rng.random((n, 3, H, W), np.float32),
        "m": np.zeros((n, H, W), np.float32),
        "p": rng.uniform(0.3, 1, n).astype(np.float32),
        "u": rng.random(n) * 0.9,
    }
    y, x = np.mgrid[:H, :W].astype(np.float32)
    centres = rng.uniform((0, 0), (H, W), (n, 2)).astype(np.float32)
    distance = (y - centres[:, :1, None]) ** 2 + (x - centres[:, 1:, None]) ** 2
    case["c"] = np.exp(-distance / rng.uniform(30, 300, (n, 1, 1)).astype(np.float32)) * rng.uniform(0.2, 1, (n, 1, 1)).astype(np.float32)
    case["c"][case["c"] < 1e-3] = 0
    for index in range(n):
        y0, x0 = rng.integers(0, (H // 2, W // 2))
        h, w = rng.integers(5, (H // 2, W // 2))
        case["m"][index, y0 : y0 + h, x0 : x0 + w] = rng.uniform(0.05, 1)
    case["c"][0] = 0
    case["m"][1] = 0
    case["m"][2] = 0
    case["m"][2, 3, 4] = 1  # one pixel: never refined
    case["m"][3] = 0
    case["m"][3, 7, 5:25] = 1  # one row: the erosion leaves nothing
    case["c"][3] = 0
    case["m"][4] = 1
    case["c"][5] = 0.7  # constant: nothing is above the mean
    case["p"][[0, 1, 2, 3, 4, 5]] = 0.99
    return case


@pytest.mark.parametrize("threshold", [0.2, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_against_numpy(seed: int, threshold: float) -> None:
    n, rng = 16, np.random.default_rng(seed)
    case = random_case(rng, n)
    draws = [RefeatherParams(12, *rng.integers(192, 257, 2).tolist(), 17, 19, 20) for _ in range(n)]
    tensors = {name: torch.from_numpy(value) for name, value in case.items()}
    result = shape_refinement(
        tensors["b"],
        tensors["f"],
        tensors["m"][:, None],
        tensors["c"],
        tensors["p"],
        tensors["u"],
        opencv_feathering(draws),
        threshold=threshold,
    )
    refined, emptied = [], []
    for i in range(n):
        f, m, *flags = slow_shape_refinement(*(case[name][i] for name in "bfmcpu"), draws[i], threshold)  # type: ignore[misc]
        refined.append(flags[0])
        emptied.append(flags[1])
        np.testing.assert_allclose(result.fake[i].numpy(), f, atol=1e-6)
        np.testing.assert_allclose(result.mask[i, 0].numpy(), m, atol=1e-6)
    assert result.refined.tolist() == refined
    assert result.emptied.tolist() == emptied
    assert emptied[3]
    assert 3 <= sum(refined) < n - 3
    assert torch.equal(tensors["f"], torch.from_numpy(case["f"]))


@pytest.mark.skipif(not native_built(), reason="fpg._C is not built")
@pytest.mark.parametrize("erosion", ["released", "intended"])
def test_kernels_feather_as_opencv_does(erosion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPG_BACKEND", "native")
    rng = np.random.default_rng(20261123)
    regions = torch.zeros(4, 90, 110, dtype=torch.uint8)
    regions[0, 20:70, 15:100] = 1
    regions[1, 5:85, 30:80] = 1
    regions[3, 10:80, 10:100] = 1
    wanted = torch.tensor([True, True, True, False])
    draws = [RefeatherParams(12, *rng.integers(192, 257, 2).tolist(), 17, 21, 15 + i) for i in range(4)]
    soft, expected = (make(draws, erosion)(regions, wanted) for make in (kernel_feathering, opencv_feathering))  # type: ignore[arg-type]
    torch.testing.assert_close(soft[:3], expected[:3], rtol=0, atol=2e-3)
    assert (soft[:2] > 0).flatten(1).any(dim=1).all()


def uniform_case(p: float = 0.8, u: float = 0.0, covered: int = 0, pixels: int = 10) -> tuple[Tensor, ...]:
    """One forgery with `pixels` masked pixels, `covered` of which are dominant."""
    mask, maps = torch.zeros(1, 1, 8, 8), torch.full((1, 8, 8), 0.1)
    mask.view(-1)[:pixels] = 0.5
    maps.view(-1)[:covered] = 1.0
    return torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8), mask, maps, torch.tensor([p]), torch.tensor([u], dtype=torch.float64)


def identity(regions: Tensor, wanted: Tensor) -> Tensor:
    return regions[:, None].float()


@pytest.mark.parametrize(
    ("case", "refined"),
    [
        (uniform_case(), True),
        (uniform_case(p=0.5), False),  # p > 0.5 is strict
        (uniform_case(u=0.79), True),
        (uniform_case(u=0.81), False),  # the draw decides with probability p
        (uniform_case(p=0.75, u=0.75), False),
        (uniform_case(covered=1), True),
        (uniform_case(covered=3), False),  # r = 0.3
        (uniform_case(pixels=1), False),
        (uniform_case(pixels=2), True),
        (uniform_case(pixels=0), False),
    ],
)
def test_conditions(case: tuple[Tensor, ...], refined: bool) -> None:
    result = shape_refinement(*case, identity)  # type: ignore[arg-type]
    assert result.refined.tolist() == [refined]
    if refined:
        taken = int((case[3] > 0.5).sum())
        assert int((case[2] > 0).sum() - result.mask.sum()) == taken
        assert torch.equal(result.fake, result.mask.expand_as(result.fake))
    else:
        assert torch.equal(result.fake, case[1])
        assert torch.equal(result.mask, case[2])


def test_share_must_be_below_the_threshold() -> None:
    assert shape_refinement(*uniform_case(), identity, threshold=1e-9).refined.all()  # type: ignore[arg-type]
    assert not shape_refinement(*uniform_case(), identity, threshold=0.0).refined.any()  # type: ignore[arg-type]


def test_feathering_is_told_what_is_wanted() -> None:
    n = 5
    parts = [torch.cat([x] * n) for x in uniform_case()]
    parts[4] = torch.tensor([0.9, 0.4, 0.9, 0.9, 0.2])
    seen = []

    def spy(regions: Tensor, wanted: Tensor) -> Tensor:
        seen.append(wanted.tolist())
        assert regions.dtype == torch.uint8
        assert regions.shape == (n, 8, 8)
        soft = regions[:, None].float()
        soft[2] = 0
        return soft

    result = shape_refinement(*parts, spy)  # type: ignore[arg-type]
    assert seen == [[True, False, True, True, False]]
    assert result.refined.tolist() == [True, False, False, True, False]
    assert result.emptied.tolist() == [False, False, True, False, False]
    for index in (1, 2, 4):
        assert torch.equal(result.fake[index], parts[1][index])
        assert torch.equal(result.mask[index], parts[2][index])


def test_not_a_number_is_never_refined() -> None:
    case = list(uniform_case())
    case[4] = torch.tensor([torch.nan])
    assert not shape_refinement(*case, identity).refined.any()  # type: ignore[arg-type]


def test_errors_name_shapes() -> None:
    case = list(uniform_case())
    case[2] = torch.zeros(1, 8, 8)
    with pytest.raises(ValueError, match=r"mask: expected \[1, 1, 8, 8\], got \[1, 8, 8\]"):
        shape_refinement(*case, identity)  # type: ignore[arg-type]
