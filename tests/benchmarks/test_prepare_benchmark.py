"""The preparation benchmark: both ways give the same crops, and what it changes for the earlier way it changes back."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fpg.common import area
from fpg.data import crop_files, cropping, display

SPEC = importlib.util.spec_from_file_location("prepare_benchmark", Path(__file__).parents[2] / "benchmarks" / "prepare.py")
assert SPEC is not None
assert SPEC.loader is not None
benchmark = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmark)


def test_a_case(tmp_path: Path) -> None:
    ours = (cropping.read_needed_frames, display._ONE_THREAD, area.use_native, crop_files.PNG_OPTIONS)
    case = benchmark.measure(benchmark.make_clip(tmp_path / "clip.mp4", frames=12), 3, 1)  # ends where the crops differ
    assert (cropping.read_needed_frames, display._ONE_THREAD, area.use_native, crop_files.PNG_OPTIONS) == ours
    assert case["name"] == "earlier preparation, clip.mp4, 3 frames"
    assert min(case["ratio"], case["before_s"], case["now_s"]) > 0
    assert case["first_look"]["default_crops"] >= case["first_look"]["crops"] >= 3
    assert set(case["parts"]) == {"networks", "faces", "crops", "decoding"}
