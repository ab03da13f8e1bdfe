"""Trained weights, run by torch: the engine that the others are compared with. The only torch import in this package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fpg.common.crops import detection_crop
from fpg.common.spec import EngineSpec
from fpg.engines.base import CheckedEngine, EngineOutput, check_range, choose_device
from fpg.models.detector import Detector, ExportModule, load_detector
from fpg.ops.memory import to_device
from fpg.ops.ragged import RaggedBatch
from fpg.pairs.operations import crop_resize


class TorchEngine(CheckedEngine):
    """A detector in evaluation mode, float32, channels last (twice as fast on a CPU).

    A GPU gets its images through page-locked memory, looks at their range itself, and is waited for once, for the answers.
    """

    looks_at_range = True

    def __init__(self, detector: Detector, spec: EngineSpec, device: str) -> None:
        super().__init__(spec, device)
        self._module = ExportModule(detector).eval().to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        there = to_device(torch.from_numpy(images), self.device)
        outputs, range_ = self._compute(there), torch.stack([*torch.aminmax(there)])
        answers = [output.cpu().numpy() for output in outputs]
        check_range(*range_.tolist())
        return answers

    @torch.inference_mode()
    def of_frames(self, frames: Tensor, boxes: Sequence[Sequence[Sequence[float]]]) -> EngineOutput:
        """Judge faces in decoded frames that lie where the engine runs: they are cut and resized there, and only answers come back.

        What the network gets is what `fpg.common.crops.face_input` makes of the same frames, bit for bit.

        Args:
            frames: uint8 [N, H, W, 3] RGB on the engine's device, as a GPU's decoder leaves them.
            boxes: of each frame the boxes (x0, y0, x1, y1) of its faces, in pixels; none for a frame without.

        Returns:
            The answers for all boxes, frame after frame.

        Raises:
            ValueError: frames of another kind or place, another number of lists of boxes, a box outside of its frame, or a model with
                another crop rule than fpg's own.
        """
        if self.spec.crop != "evaluation":
            raise ValueError(f"crop: expected a model with the rule evaluation, got {self.spec.crop}")
        kind, shape = str(frames.dtype).removeprefix("torch."), list(frames.shape)
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.device.type != self.device:
            raise ValueError(f"frames: expected uint8 [N, H, W, 3] on {self.device}, got {kind} {shape} on {frames.device.type}")
        if len(boxes) != len(frames):
            raise ValueError(f"boxes: expected {len(frames)} lists, one per frame, got {len(boxes)}")
        _, height, width, _ = frames.shape
        crops = [detection_crop(box, height, width) for of_frame in boxes for box in of_frame]
        if not crops:
            return self(np.zeros((0, 3, self.spec.image_size, self.spec.image_size), np.float32))
        owners = torch.tensor([index for index, of_frame in enumerate(boxes) for _ in of_frame], device="cpu")
        sizes = torch.tensor([[height, width]] * len(crops), dtype=torch.int32, device="cpu")
        faces = RaggedBatch(
            frames.contiguous().view(-1),
            to_device(owners * (3 * height * width), frames.device),
            to_device(sizes, frames.device),
            3,
            ((height, width),) * len(crops),
        )
        rows = to_device(torch.tensor(crops, dtype=torch.int32, device="cpu"), frames.device)
        (images,) = crop_resize([faces], None, rows, self.spec.image_size).images
        return EngineOutput(*(output.float().cpu().numpy() for output in self._compute(images)))

    def _compute(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self._module(images.contiguous(memory_format=torch.channels_last))
        return outputs

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
