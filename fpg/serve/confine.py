"""What a process that reads strangers' files gives up before it reads the first: memory, processor time, the network, programs.

The limits are the kernel's own (`setrlimit`), and the filter is seccomp's, which needs no privilege and holds in containers too. Standard
library alone: it is applied before anything large is imported, so that every later thread has it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
"""Opcodes of classic BPF: load a word, jump if equal, jump if at least, return."""
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Where `struct seccomp_data` keeps them."""
_X32 = 0x40000000


@dataclass(frozen=True)
class _Machine:
    """The kernel's name of an architecture, and its numbers of system calls."""

    audit: int
    socket: int
    execve: int
    execveat: int
    ptrace: int
    io_uring_setup: int = 425


_MACHINES = {
    "x86_64": _Machine(0xC000003E, socket=41, execve=59, execveat=322, ptrace=101),
    "aarch64": _Machine(0xC00000B7, socket=198, execve=221, execveat=281, ptrace=117),
}


@dataclass(frozen=True)
class Limits:
    """Of a worker process; None is no limit."""

    memory: int | None = 8 * 2**30
    """Bytes of address space."""
    cpu_s: float | None = 1800
    """Seconds of processor time that may pass after a job was begun; the process is ended then."""
    file_bytes: int | None = 2 * 2**30
    """Largest file that it may write."""
    network: bool = False
    """Whether it may open sockets other than local ones. An engine on another machine needs it."""


def confine(limits: Limits) -> list[str]:
    """Give up what `limits` does not leave, for good, for this process and its later threads.

    Returns:
        What this platform does not let it give up, a line each.
    """
    missing = []
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for what, name, value in (
        ("memory", resource.RLIMIT_AS, limits.memory),
        ("the size of files", resource.RLIMIT_FSIZE, limits.file_bytes),
    ):
        if value is not None:
            try:
                resource.setrlimit(name, (value, value))
            except (ValueError, OSError) as error:
                missing.append(f"{what} is not limited: {error}")
    reason = _filter(network=limits.network)
    if reason:
        missing.append(f"the network and other programs are within reach of what judges: {reason}")
    return missing


def allow_cpu(limits: Limits) -> None:
    """A job begins: the process may use `Limits.cpu_s` from now on. The kernel sends SIGXCPU after that."""
    if limits.cpu_s is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime + limits.cpu_s) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard))


def _filter(*, network: bool) -> str | None:
    """Have the kernel refuse (EPERM) sockets but local ones, programs and debugging; why it could not be asked to, or None."""
    machine = _MACHINES.get(platform.machine())
    if not sys.platform.startswith("linux") or machine is None:
        return f"no filter for {sys.platform} on {platform.machine()}"
    code = program(machine, network=network)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
    zero = ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero):
        return os.strerror(ctypes.get_errno())
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(filter_), zero, zero):
        return os.strerror(ctypes.get_errno())
    return None


def program(machine: _Machine, *, network: bool) -> bytes:
    """The filter, as `struct sock_filter[]`. A call of another architecture's numbers is refused whole."""
    refused = [machine.execve, machine.execveat, machine.ptrace, machine.io_uring_setup]
    lines: list[tuple[int, int, int, int]] = []  # opcode, lines to skip if true, if false, operand
    lines.append((_LOAD, 0, 0, _ARCHITECTURE))
    lines.append((_EQUAL, 1, 0, machine.audit))
    lines.append((_RETURN, 0, 0, _DENY))
    lines.append((_LOAD, 0, 0, _NUMBER))
    lines.append((_AT_LEAST, 0, 1, _X32))
    lines.append((_RETURN, 0, 0, _DENY))
    for number in refused:
        lines.append((_EQUAL, 0, 1, number))
        lines.append((_RETURN, 0, 0, _DENY))
    if not network:
        lines.append((_EQUAL, 0, 3, machine.socket))
        lines.append((_LOAD, 0, 0, _FIRST_ARGUMENT))
        lines.append((_EQUAL, 1, 0, 1))  # AF_UNIX
        lines.append((_RETURN, 0, 0, _DENY))
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *line) for line in lines)
