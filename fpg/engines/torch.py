"""Trained weights, run by torch: the engine that the others are compared with. The only torch import in this package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fpg.common.spec import EngineSpec
from fpg.engines.base import CheckedEngine, choose_device
from fpg.models.detector import Detector, ExportModule, load_detector


class TorchEngine(CheckedEngine):
    """A detector in evaluation mode, float32, channels last (twice as fast on a CPU)."""

    def __init__(self, detector: Detector, spec: EngineSpec, device: str) -> None:
        super().__init__(spec, device)
        self._module = ExportModule(detector).eval().to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        tensor = torch.from_numpy(images).to(self.device, memory_format=torch.channels_last)
        return [output.cpu().numpy() for output in self._module(tensor)]

    def input_gradient(self, images: np.ndarray) -> np.ndarray:
        """Gradient of (logit of fake - logit of real) by the images, float32 [B, 3, S, S] like them; to attack one's own detector."""
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, memory_format=torch.channels_last).requires_grad_()
        logits = self._module(tensor)[0]
        (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), tensor)
        return np.asarray(gradient.cpu().numpy(), np.float32)


def load(path: Path, spec: EngineSpec, device: str, threads: int | None) -> TorchEngine:
    """See `fpg.engines.load_engine`, which has verified the files. `threads` sets torch's threads for the whole process."""
    available = {"cpu": "cpu"} | ({"cuda": "cuda"} if torch.cuda.is_available() else {})
    chosen = choose_device(device, available, "cuda" if "cuda" in available else "cpu", "torch")
    if threads is not None:
        torch.set_num_threads(threads)
    detector, _ = load_detector(path, verify=False)
    return TorchEngine(detector, spec, chosen)
