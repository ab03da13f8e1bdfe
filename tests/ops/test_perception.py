"""Perception statistics: kernels against the pure-torch reference on fresh input, edge cases, errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fpg.ops.perception import PerceptionStatistics, perception_statistics, perception_statistics_reference

SHAPES = [(1, 1, 1), (3, 1, 17), (2, 33, 1), (5, 19, 23), (2, 64, 64), (0, 8, 8), (2, 0, 5), (2, 5, 0), (33, 12, 12)]


def random_input(shape: tuple[int, int, int], device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Fresh each time: about a third of the map and half of the mask are zero."""
    maps = torch.rand(shape, device=device) * (torch.rand(shape, device=device) > 0.3)
    masks = torch.rand(shape, device=device) * (torch.rand(shape, device=device) > 0.5)
    return maps, masks


def assert_same(actual: PerceptionStatistics, expected: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(actual.threshold, expected[0], rtol=1.2e-7, atol=1e-11)  # one unit in the last place
    for a, e in zip(actual[1:], expected[1:], strict=True):
        torch.testing.assert_close(a, e, rtol=0, atol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_matches_reference(native: None, shape: tuple[int, int, int]) -> None:
    maps, masks = random_input(shape)
    assert_same(perception_statistics(maps, masks), perception_statistics_reference(maps, masks))


def test_counts_by_hand(any_backend: str) -> None:
    maps = torch.tensor([[[0.0, 0.25, 0.5, 1.0]], [[0.0, 0.0, 0.0, 0.0]]])
    masks = torch.tensor([[[1.0, 0.5, 0.1, 0.2]], [[0.0, 1.0, 1.0, 0.0]]])
    result = perception_statistics(maps, masks)
    assert result.threshold.tolist() == [pytest.approx(1.75 / 3), 0.0]
    assert result.dominant.tolist() == [1, 0]
    assert result.masked.tolist() == [4, 2]
    assert result.remaining.tolist() == [[[1, 1, 1, 0]], [[0, 1, 1, 0]]]


def test_types_and_shapes(any_backend: str) -> None:
    result = perception_statistics(*random_input((3, 4, 5)))
    assert [t.dtype for t in result] == [torch.float32, torch.int64, torch.int64, torch.uint8]
    assert [tuple(t.shape) for t in result] == [(3,), (3,), (3,), (3, 4, 5)]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_same_bits_with_any_number_of_threads(native: None, threads: None, count: int) -> None:
    maps, masks = random_input((5, 40, 41))
    torch.set_num_threads(1)
    one = perception_statistics(maps, masks)
    torch.set_num_threads(count)
    for a, b in zip(perception_statistics(maps, masks), one, strict=True):
        assert torch.equal(a, b)


def test_sum_does_not_depend_on_the_order(native: None) -> None:
    maps, masks = random_input((4, 30, 30))
    order = torch.randperm(900)
    shuffled = [t.flatten(1)[:, order].reshape(4, 30, 30) for t in (maps, masks)]
    a, b = perception_statistics(maps, masks), perception_statistics(*shuffled)
    assert torch.equal(a.threshold, b.threshold)
    assert torch.equal(a.dominant, b.dominant)


def test_channel_dimension_and_non_contiguous_views(any_backend: str) -> None:
    maps, masks = random_input((4, 12, 14))
    expected = perception_statistics_reference(maps, masks)
    assert_same(perception_statistics(maps, masks[:, None]), expected)
    transposed = maps.transpose(1, 2).contiguous().transpose(1, 2)
    spread = torch.zeros(4, 12, 28)
    spread[:, :, ::2] = masks
    assert not transposed.is_contiguous()
    assert not spread[:, :, ::2].is_contiguous()
    assert_same(perception_statistics(transposed, spread[:, :, ::2]), expected)
    one = maps[:1].expand(4, 12, 14)  # stride 0
    assert_same(perception_statistics(one, masks), perception_statistics_reference(one.contiguous(), masks))


def test_degenerate_maps_and_masks(any_backend: str) -> None:
    maps, masks = random_input((5, 9, 9))
    maps[0] = 0
    masks[1] = 0
    masks[2] = 1
    maps[3] = 0.1  # constant: nowhere above its mean
    maps[4] = -1.0
    result = perception_statistics(maps, masks)
    assert_same(result, perception_statistics_reference(maps, masks))
    assert result.threshold[0] == 0
    assert result.dominant[0] == 0
    assert torch.equal(result.remaining[0].bool(), masks[0] > 0)
    assert result.masked[1] == 0
    assert result.remaining[1].sum() == 0
    assert result.masked[2] == 81
    assert result.threshold[3] == maps[3, 0, 0]
    assert result.dominant[3] == 0
    assert result.threshold[4] == 0


def test_nan_is_neither_positive_nor_above_and_excess_counts_as_one(any_backend: str) -> None:
    nan, inf = float("nan"), float("inf")
    maps = torch.tensor([[[nan, 0.5, inf, -inf, 2.0, -0.0]]])
    masks = torch.tensor([[[1.0, nan, inf, 1.0, -inf, 1.0]]])
    result = perception_statistics(maps, masks)
    assert result.threshold.tolist() == [pytest.approx(2.5 / 3)]
    assert result.masked.tolist() == [4]
    assert result.dominant.tolist() == [1]
    assert result.remaining.tolist() == [[[1, 0, 0, 1, 0, 1]]]


def test_small_values_keep_their_mean(native: None) -> None:
    maps = torch.rand(2, 20, 20) * 1e-4
    result = perception_statistics(maps, torch.ones(2, 20, 20))
    torch.testing.assert_close(result.threshold, maps.double().mean((1, 2)).float(), rtol=0, atol=2**-36)


def test_inputs_are_left_alone_and_no_gradient_flows(any_backend: str) -> None:
    maps, masks = random_input((2, 6, 6))
    copies = maps.clone(), masks.clone()
    result = perception_statistics(maps.requires_grad_(), masks)
    assert not result.threshold.requires_grad
    assert torch.equal(maps, copies[0])
    assert torch.equal(masks, copies[1])


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (torch.zeros(2, 4), torch.zeros(2, 4), r"maps: expected float32 \[B, H, W\], got float32 \[2, 4\]"),
        (torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4), r"maps: expected float32 \[B, H, W\], got float32 \[2, 1, 4, 4\]"),
        (torch.zeros(2, 4, 4, dtype=torch.float64), torch.zeros(2, 4, 4), r"maps: expected float32 \[B, H, W\], got float64 \[2, 4, 4\]"),
        (
            torch.zeros(2, 4, 4),
            torch.zeros(2, 4, 4, dtype=torch.uint8),
            r"masks: expected float32 \[2, 4, 4\] or \[2, 1, 4, 4\], got uint8 \[2, 4, 4\]",
        ),
        (torch.zeros(2, 4, 4), torch.zeros(2, 3, 4, 4), r"masks: expected float32 .* got float32 \[2, 3, 4, 4\]"),
        (torch.zeros(2, 4, 4), torch.zeros(1, 4, 4), r"masks: expected float32 .* got float32 \[1, 4, 4\]"),
        (torch.zeros(2, 4, 4), torch.zeros(2, 4, 4, device="meta"), "masks: expected device cpu, got meta"),
        (torch.zeros(1).expand(1, 2**14, 2**13), torch.zeros(1).expand(1, 2**14, 2**13), r"maps: expected H \* W < 2\^27"),
    ],
)
def test_errors_say_what_was_expected(any_backend: str, maps: Tensor, masks: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        perception_statistics(maps, masks)


def test_module_refuses_what_does_not_fit(native: None) -> None:
    from fpg import _C

    data = torch.zeros(64, dtype=torch.int64)
    address = data.data_ptr()
    arguments = dict.fromkeys(("maps", "masks", "threshold", "dominant", "masked", "remaining", "sum", "positive"), address)
    none, one = _C.Target(-1, 0, 0), _C.Target(-1, 0, 1)
    with pytest.raises(ValueError, match="threads: expected at least 1, got 0"):
        _C.perception_statistics(**arguments, batch=1, height=2, width=2, target=none)
    with pytest.raises(ValueError, match="masks: expected data, got a null pointer"):
        _C.perception_statistics(**{**arguments, "masks": 0}, batch=1, height=2, width=2, target=one)
    with pytest.raises(ValueError, match="non-negative"):
        _C.perception_statistics(**arguments, batch=-1, height=2, width=2, target=one)


@pytest.mark.cuda
@pytest.mark.parametrize("shape", [*SHAPES, (4, 380, 380), (70000, 2, 3)])
def test_cuda_gives_the_bits_of_the_cpu(native: None, shape: tuple[int, int, int]) -> None:
    maps, masks = random_input(shape)
    expected = perception_statistics(maps, masks)
    actual = perception_statistics(maps.cuda(), masks.cuda())
    for a, e in zip(actual, expected, strict=True):
        assert a.is_cuda
        assert torch.equal(a.cpu(), e)


@pytest.mark.cuda
def test_cuda_follows_the_current_stream(native: None) -> None:
    inputs = [random_input((4, 200, 200)) for _ in range(4)]
    streams = [torch.cuda.Stream() for _ in inputs]
    results = []
    for stream, (maps, masks) in zip(streams, inputs, strict=True):
        with torch.cuda.stream(stream):
            # The copy of the input waits behind the sleep: an operation on any other stream would read zeros.
            on_gpu = torch.zeros_like(maps, device="cuda"), masks.cuda()
            torch.cuda._sleep(10_000_000)
            on_gpu[0].copy_(maps)
            results.append(perception_statistics(*on_gpu))
    torch.cuda.synchronize()
    for (maps, masks), result in zip(inputs, results, strict=True):
        assert_same(PerceptionStatistics(*(t.cpu() for t in result)), perception_statistics_reference(maps, masks))


@pytest.mark.cuda
def test_cuda_does_not_wait_and_can_be_captured(native: None) -> None:
    maps, masks = random_input((4, 64, 64), "cuda")
    perception_statistics(maps, masks)  # loads the kernels
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):  # a synchronisation would make the capture fail
        result = perception_statistics(maps, masks)
    maps.copy_(random_input((4, 64, 64))[0])
    graph.replay()
    assert_same(result, perception_statistics_reference(maps, masks))
