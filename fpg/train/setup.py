"""Setting up a run: its folder, its device, its network and its optimiser."""

from __future__ import annotations

from pathlib import Path

import torch

from fpg.common.errors import UsageError
from fpg.common.files import remove_unfinished
from fpg.models.detector import Detector, build_detector
from fpg.train.config import OptimConfig, TrainConfig
from fpg.train.step import seed_torch


def claim(out: Path, resume: bool) -> None:
    """Make sure that a folder can be this run's, and clear what a killed run left half written.

    Raises:
        UsageError: it is in use, or holds no run to resume.
    """
    used = out.is_dir() and any(not path.match(".*.part") for path in out.iterdir())
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: expected a folder, {out} is a file")
    if used and not resume:
        raise UsageError(f"--out: {out} is not empty; go on with --resume, or choose another folder")
    if resume and not (out / "config.yaml").is_file():
        raise UsageError(f"--resume: {out} holds no run (no config.yaml)")
    if out.is_dir():
        remove_unfinished(out)


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU when there is one.

    Raises:
        UsageError: a GPU is asked for and none is there, or the name means nothing.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device: expected auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: no CUDA GPU can be used on this machine (see fpg-doctor)")
    return device


def build_model(config: TrainConfig, device: torch.device) -> Detector:
    """The detector with its first weights, on the device."""
    seed_torch(config.seed, "init")
    model = build_detector(config.model.detector(), pretrained=config.model.pretrained)
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def build_optimizer(config: OptimConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW of the recipe."""
    return torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps, weight_decay=config.weight_decay
    )
