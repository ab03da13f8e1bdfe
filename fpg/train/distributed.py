"""The processes of a run and what they do together: one code path for one process and for many.

torch's elastic launcher starts the processes (`torchrun`, or `fpg-train --nproc N`) and describes them in the environment.
NCCL carries tensors on GPUs, gloo those on CPUs and plain values.

Gradients are summed in one piece after the backward passes, instead of through DistributedDataParallel: the sums are exact for any
division of the batch, for accumulated passes, and for a process that has no pair at all.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fpg.common.console import console
from fpg.common.errors import FpgError, UsageError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=15)
"""A process that waits longer than this for the others ends with an error."""


class RemoteFailure(FpgError):
    """The run ends because of an error that another process reports; `code` is the exit code to end with; nothing more is printed."""

    def __init__(self, code: int = 1) -> None:
        self.code = code
        super().__init__("another process of the run failed, and says why")


class PeerLost(FpgError):
    """Another process of the run is gone or does not answer. Process 0 raises it; the others `RemoteFailure`."""


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them; by default this one alone."""

    rank: int = 0
    """This process among all; process 0 writes and prints."""
    size: int = 1
    local_rank: int = 0
    """This process among those of its machine: its GPU."""
    local_size: int = 1

    @property
    def main(self) -> bool:
        """This is the process that writes."""
        return self.rank == 0

    def shard(self, items: Sequence[T]) -> list[T]:
        """This process's part of something that is divided over all."""
        return list(items[self.rank :: self.size])

    def sum(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over the processes, in all of them.

        Raises:
            PeerLost: not all of them answer.
        """
        if self.size > 1:
            with _peers(self.rank):
                dist.all_reduce(tensor)
        return tensor

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank, in all of them.

        Raises:
            PeerLost: not all of them answer.
        """
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _peers(self.rank):
            dist.all_gather_object(values, value)
        return values

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """A block that all processes run, without waiting for each other in it: an error of one ends it in all.

        The first process (by rank) that failed raises its error, the others `RemoteFailure`.
        """
        error: Exception | None = None
        try:
            yield
        except Exception as raised:
            error = raised
        codes = self.gather(None if error is None else 2 if isinstance(error, UsageError) else 1)
        first = next((rank for rank, code in enumerate(codes) if code is not None), None)
        if first is None:
            return
        if error is not None and first == self.rank:
            raise error
        raise RemoteFailure(codes[first] or 1) from error

    def fail(self, error: FpgError) -> NoReturn:
        """End the run with an error that all processes have come to together: process 0 raises it, the others `RemoteFailure`."""
        raise error if self.main else RemoteFailure(2 if isinstance(error, UsageError) else 1) from error

    def same_weights(self, model: nn.Module) -> None:
        """Give every process the weights and buffers of process 0."""
        if self.size > 1:
            with _peers(self.rank), torch.no_grad():
                for tensor in model.state_dict().values():
                    whole = tensor.contiguous()
                    dist.broadcast(whole, 0)
                    tensor.copy_(whole)

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter], factor: float) -> None:
        """Replace gradients by `factor` x their sum over the processes; where no loss reached a parameter its gradient is 0."""
        gradients = []
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        self._sum_all(gradients)
        if factor != 1:
            torch._foreach_mul_(gradients, factor)

    @torch.no_grad()
    def average_statistics(self, model: nn.Module) -> None:
        """Replace the running statistics of batch normalisation by their mean over the processes; SyncBatchNorm's are equal already."""
        if self.size > 1:
            norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and not isinstance(m, nn.SyncBatchNorm)]
            running = [x for norm in norms for x in (norm.running_mean, norm.running_var) if x is not None]
            self._sum_all(running)
            if running:
                torch._foreach_div_(running, self.size)

    def _sum_all(self, tensors: list[Tensor]) -> None:
        if self.size > 1 and tensors:
            whole = self.sum(torch.cat([x.reshape(-1) for x in tensors]))
            for tensor, part in zip(tensors, whole.split([x.numel() for x in tensors]), strict=True):
                tensor.copy_(part.view(tensor.shape))


ALONE = World()


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1 and "RANK" in os.environ and "MASTER_ADDR" in os.environ


@contextlib.contextmanager
def join(device: str) -> Iterator[World]:
    """Take one's place among the processes that a launcher started; `ALONE` when there is none.

    Only process 0 prints to the console from here on.

    Args:
        device: `TrainConfig.device`.

    Raises:
        UsageError: a device that several processes cannot share.
        PeerLost: the others do not come.
    """
    if not launched():
        yield ALONE
        return
    rank, size, local_rank, local_size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    console.quiet = rank != 0
    cuda = device != "cpu" and torch.cuda.is_available()
    if device.startswith("cuda:"):
        raise UsageError(f"device: several processes take a GPU each; expected auto, cuda or cpu, got {device}")
    if cuda and torch.cuda.device_count() < local_size:
        raise UsageError(
            f"device: {local_size} processes on this machine, {torch.cuda.device_count()} GPUs; start as many, or --device cpu"
        )
    if cuda:
        torch.cuda.set_device(local_rank)
    with _peers(rank):
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    yield World(rank, size, local_rank, local_size)
    with _peers(rank):
        dist.destroy_process_group()  # after an error the others may be gone, and this would wait for them


def end(code: int) -> NoReturn:
    """End a program with an exit code.

    One of several processes ends at once: the threads of a process group that was not taken down, as after an error or a request to stop,
    abort the interpreter while it ends in order. Files are closed by then.
    """
    if launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextlib.contextmanager
def _peers(rank: int) -> Iterator[None]:
    """Failures of communication as `PeerLost`; gloo knows only RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        if rank:
            raise RemoteFailure from error
        reason = str(error).splitlines()[0]
        raise PeerLost(f"another process of this run has ended or does not answer ({reason})") from error
