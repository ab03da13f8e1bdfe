"""The best epochs of a run by validation AUC: which are kept as weights, and when to stop waiting for a better one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fpg.common.spec import sidecar
from fpg.models.detector import Detector, save_detector

FEW_VIDEOS = 200
"""Weights trained on fewer are a demonstration, and say so wherever they judge; FF++ has 720 real training videos."""
Best = dict[str, float]
"""`auc`, `loss`, `epoch` (0-based), `step` of a validation."""


def few_people(provenance: dict[str, Any]) -> tuple[str, ...]:
    """The warning (`EngineSpec.warnings`) that goes with weights of a run on too few videos; none with others."""
    videos = provenance["data"]["train_videos"]
    if videos >= FEW_VIDEOS:
        return ()
    count = f"{videos} video or picture" if videos == 1 else f"{videos} videos or pictures"
    return (f"demo weights are no detector: trained on {count}, they only show that everything works",)


def ranked(kept: list[Best], new: Best, count: int) -> list[Best]:
    """The best `count` of some epochs and a new one, best first: by AUC, then by loss, then the earlier epoch."""
    others = [best for best in kept if best["epoch"] != new["epoch"]]
    return sorted([*others, new], key=lambda best: (-best["auc"], best["loss"], best["epoch"]))[:count]


def patience_exhausted(best: Best | None, epochs_done: int, patience: int) -> bool:
    """Whether `patience` epochs (0: any number) went by without a better validation; a function of the position alone."""
    return bool(patience) and best is not None and epochs_done - 1 - best["epoch"] >= patience


class TopFolder:
    """`RUN/checkpoints/top/epoch_NNN.safetensors` with their sidecars, ready for fpg-eval.

    Weights are written before the checkpoint that lists them, and removed after one that does not: whenever a run is killed, everything
    that its last checkpoint lists is there.

    Args:
        folder: made when the first weights are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, best: Best) -> Path:
        """Weights of an epoch."""
        return self.folder / f"epoch_{int(best['epoch']):03d}.safetensors"

    def write(self, model: Detector, best: Best, provenance: dict[str, Any]) -> None:
        """Save the weights of an epoch, each file atomically."""
        provenance = {**provenance, "weights": f"epoch {int(best['epoch']) + 1}", "validation": best}
        save_detector(self.path(best), model, provenance=provenance, warnings=few_people(provenance))

    def prune(self, kept: list[Best]) -> None:
        """Remove what is not among the kept."""
        wanted = {self.path(best) for best in kept}
        for path in self.folder.glob("epoch_*.safetensors"):
            if path not in wanted:
                path.unlink(missing_ok=True)
                sidecar(path).unlink(missing_ok=True)
