"""Setting up a run: its folder, its device, its network and its optimiser."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm

from fpg.common.errors import UsageError
from fpg.common.files import remove_unfinished
from fpg.guidance.perception import GraphedPerception, Perception
from fpg.models.detector import Detector, build_detector
from fpg.train.config import TrainConfig
from fpg.train.distributed import World
from fpg.train.ema import Ema
from fpg.train.learner import Learner, memory_format
from fpg.train.optimizer import build_optimizer, checkpoint_gradients, freeze
from fpg.train.step import seed_torch


def claim(out: Path, resume: bool) -> int | None:
    """Make sure that a folder can be this run's alone, and clear what a killed run left half written.

    Returns:
        A descriptor of the folder that holds its lock while it is open; None for a folder that is yet to be made.

    Raises:
        UsageError: it is in use, or holds no run to resume.
    """
    used = out.is_dir() and any(not path.match(".*.part") for path in out.iterdir())
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: expected a folder, {out} is a file")
    if used and not resume:
        raise UsageError(f"--out: {out} is not empty; continue with --resume, or choose another folder")
    if resume and not (out / "config.yaml").is_file():
        raise UsageError(f"--resume: {out} holds no run (no config.yaml)")
    if not out.is_dir():
        return None
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UsageError(f"--out: another fpg-train is writing to {out}") from None
    remove_unfinished(out)
    return descriptor


def choose_training_device(name: str) -> torch.device:
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
    return torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" and device.index is None else device


def build_learner(config: TrainConfig, device: torch.device, world: World) -> Learner:
    """The detector with its first weights, and what belongs to it.

    Raises:
        UsageError: `compile` without a compiler; `cuda_graphs` without a GPU or with `compile`; nothing that can be frozen, ordered or
            checkpointed as asked for.
    """
    if config.cuda_graphs and device.type != "cuda":
        raise UsageError(f"cuda_graphs: need a CUDA GPU, and the network is on the {device.type}")
    if config.cuda_graphs and config.compile:
        raise UsageError("compile, cuda_graphs: give one of them")
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.use_deterministic_algorithms(config.deterministic)
    torch.backends.cudnn.deterministic = config.deterministic
    torch.backends.cudnn.benchmark = not config.deterministic
    seed_torch(config.seed, "init")
    model: Any = build_detector(config.model.detector(), pretrained=config.model.pretrained)
    freeze(model, config.freeze, config.freeze_stages, config.model.train_only)
    if config.grad_checkpointing:
        checkpoint_gradients(model)
    model = model.to(device, memory_format=memory_format(config))
    if world.size > 1 and device.type == "cuda":
        model = convert_sync_batchnorm(model)
    ema = Ema(model, config.ema) if config.ema else None
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    perception = (GraphedPerception if config.cuda_graphs else Perception)(model)
    learner = Learner(model, build_optimizer(config.optim, model), scaler, ema, device, perception, config.batch_statistics)
    if config.compile:
        compile_parts(model, device)
    return learner


def compile_parts(model: Detector, device: torch.device, backend: str = "inductor") -> None:
    """Compile the two halves of the detector, which perception and training share. Names and weights stay as they are.

    Raises:
        UsageError: torch.compile does not work here.
    """
    try:
        torch.compile(lambda x: x.sin() + 1, backend=backend)(torch.zeros(8, device=device))
    except Exception as error:  # a missing compiler shows in many ways
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"compile: torch.compile does not work here (it needs a C++ compiler, on a GPU also Triton): {reason}") from error
    for part in ("last_block", "head"):
        setattr(model, part, torch.compile(getattr(model, part), backend=backend))
