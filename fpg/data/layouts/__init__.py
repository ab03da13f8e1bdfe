"""Every layout that fpg reads, in the order in which they are tried. The next one joins by its class in `LAYOUTS`."""

from __future__ import annotations

from pathlib import Path

from fpg.common.errors import UsageError
from fpg.data.layouts.base import Layout, folders
from fpg.data.layouts.celeb_df import CELEB_DF_PP, CELEB_DF_V1, CELEB_DF_V2
from fpg.data.layouts.deepfakebench import DeepfakeBench
from fpg.data.layouts.dfdc import DFDC, DFDCPreview
from fpg.data.layouts.faceforensics import DeepFakeDetection, FaceForensics
from fpg.data.layouts.generic import CsvList, Plain, PreparedTree, RealFake
from fpg.data.layouts.others import DF40, FFIW, UADFV, DeeperForensics, WildDeepfake

DATA_SETS: tuple[Layout, ...] = (
    FaceForensics(),
    DeepFakeDetection(),
    CELEB_DF_V1,
    CELEB_DF_V2,
    CELEB_DF_PP,
    DFDCPreview(),
    DFDC(),
    FFIW(),
    DeeperForensics(),
    WildDeepfake(),
    UADFV(),
    DF40(),
)
"""Layouts of published data sets: several may lie in one tree (FF++ and DFD do)."""
GENERAL: tuple[Layout, ...] = (DeepfakeBench(), CsvList(), RealFake(), PreparedTree(), Plain())
"""What anybody's data may look like; the first that matches is it."""
LAYOUTS: tuple[Layout, ...] = (*DATA_SETS, *GENERAL)


def layout_named(name: str) -> Layout:
    """The layout that `--layout` names.

    Raises:
        UsageError: there is none of that name.
    """
    for layout in LAYOUTS:
        if layout.name == name.lower():
            return layout
    raise UsageError(f"layout: expected one of {', '.join(layout.name for layout in LAYOUTS)}, got {name}")


def recognise(root: Path) -> list[tuple[Layout, Path]]:
    """The layouts at `root` with the folder of each: those of data sets in it or in the folders directly below it, else the
    general one that fits."""
    found = [(layout, root) for layout in DATA_SETS if layout.matches(root)]
    general = next(layout for layout in GENERAL if layout.matches(root))
    if found or not root.is_dir() or not isinstance(general, Plain):
        return found or [(general, root)]
    below = [(layout, folder) for folder in folders(root).values() for layout in DATA_SETS if layout.matches(folder)]
    return below or [(general, root)]


def describe_layouts() -> str:
    """One line per layout for `--help` and `--layout list`."""
    width = max(len(layout.name) for layout in LAYOUTS)
    return "\n".join(f"  {layout.name:<{width}}  {layout.title}" for layout in LAYOUTS)
