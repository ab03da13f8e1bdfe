"""fpg-serve: a page to drop a video on, and an HTTP API, on one machine or in front of a Ray cluster."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from fpg.cli.entry import add_version, run
from fpg.cli.help import Help
from fpg.cli.model_option import add_model
from fpg.cli.options import add_timeout
from fpg.common.console import one_line
from fpg.common.errors import InputError, MissingDependencyError, UsageError
from fpg.common.packages import install_extra
from fpg.common.source import commit

EXAMPLES = """examples:
  fpg-serve                                  a web page on http://127.0.0.1:8000/
  fpg-serve --model engines/ --slots 4       another detector, four jobs at a time
  fpg-serve --host 0.0.0.0 --token-file /etc/fpg/token
  fpg-serve --ray auto                       in front of a Ray cluster
  curl -F file=@clip.mp4 http://127.0.0.1:8000/v1/judge

The API is described at /openapi.json. Jobs and their files are kept in --spool and survive the program, however it ends."""
_SIZES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parser() -> argparse.ArgumentParser:
    """The command line of fpg-serve."""
    p = argparse.ArgumentParser(
        prog="fpg-serve",
        description="Serve a web page and an HTTP API that judge videos and pictures.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    add_model(p)
    add_version(p)
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")
    p.add_argument("--port", type=_port, default=8000, help="port to listen on (default: %(default)s; 0: a free one)")
    p.add_argument("--token-file", metavar="FILE", help="requests must send this file's first line (`Authorization: Bearer ...`)")
    p.add_argument("--spool", type=Path, metavar="DIR", help="where jobs and their files are kept (default: ~/.local/state/fpg/spool)")
    p.add_argument("--quota", type=size, default="10G", metavar="SIZE", help="bytes that all files may take up together (default: 10G)")
    p.add_argument("--keep", type=_positive, default=86_400.0, metavar="SECONDS", help="how long results are kept (default: 86400, a day)")
    p.add_argument("--queue", type=_count, default=64, metavar="N", help="jobs that may wait; more are refused (default: %(default)s)")
    p.add_argument("--max-upload", type=size, default="2G", metavar="SIZE", help="largest file (default: 2G)")
    p.add_argument("--max-judge", type=size, default="64M", metavar="SIZE", help="largest file of /v1/judge (default: 64M)")
    p.add_argument("--allow-urls", action="store_true", help="fetch http(s) URLs that lead to public addresses (default: no)")
    p.add_argument("--workers", type=_count, metavar="N", help="processes that judge (default: one per eight cores)")
    p.add_argument("--slots", type=_count, metavar="N", help="jobs at a time in each, sharing batches (default: one per core, up to 8)")
    p.add_argument("--memory", type=size, default="8G", metavar="SIZE", help="address space of a worker process (default: 8G; 0: no limit)")
    p.add_argument("--cpu", type=_positive, default=1800.0, metavar="SECONDS", help="CPU time of a job (default: %(default)g)")
    p.add_argument(
        "--grace",
        type=_positive,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for running jobs when the server is stopped (default: %(default)g)",
    )
    p.add_argument("--batch", type=_count, default=16, metavar="N", help="faces per call of the network (default: %(default)s)")
    p.add_argument("--device", default="auto", help="where the network runs: auto, cpu, cuda, ... (default: auto)")
    p.add_argument("--threads", type=_count, metavar="N", help="CPU threads of the network in each process (default: all)")
    p.add_argument(
        "--engine", metavar="URL", help="triton://HOST:PORT/NAME: a Triton server runs the network; --model names the model it serves"
    )
    p.add_argument("--ray", metavar="ADDRESS", help="judge on this Ray cluster (HOST:PORT, auto, local), with Ray Serve")
    p.add_argument(
        "--replicas",
        type=_range,
        default=(1, 4),
        metavar="MIN:MAX",
        help="with --ray: range of replicas, scaled by running jobs (default: 1:4)",
    )
    add_timeout(p)
    return p


def size(text: str) -> int:
    """argparse type: bytes, with K, M, G or T for powers of 1024."""
    number, factor = (text[:-1], _SIZES[text[-1].lower()]) if text[-1:].lower() in _SIZES else (text, 1)
    value = float(number) * factor
    if not 0 <= value < 2**60:
        raise argparse.ArgumentTypeError(f"expected a size such as 500M or 10G, got {text}")
    return int(value)


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100_000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 100000, got {text}")
    return value


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    least, most = _count(low), _count(high or low)
    if least > most:
        raise argparse.ArgumentTypeError(f"expected MIN:MAX, got {text}")
    return least, most


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 366 * 86_400:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text}")
    return value


def read_token(path: str) -> str:
    """The first line of a token file.

    Raises:
        UsageError: it cannot be read, or its first line is no token.
    """
    try:
        with open(path, encoding="utf-8") as file:
            token = file.readline().strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file: {InputError.of(path, error)}") from error
    if len(token) < 16 or not token.isascii() or " " in token:
        raise UsageError(f"--token-file: {path}: expected at least 16 characters on the first line, such as `openssl rand -hex 32` prints")
    return token


def main(argv: list[str] | None = None) -> int:
    """Entry point of `fpg-serve`."""
    return run(lambda: _serve(parser().parse_args(argv)))


def _serve(arguments: argparse.Namespace) -> int:
    try:
        from fpg.serve.guard import is_loopback
        from fpg.serve.run import log_to_stderr, serve
        from fpg.serve.settings import Settings, default_spool
    except ImportError as error:
        raise MissingDependencyError(f"fpg-serve needs FastAPI and others: {install_extra('serve')} ({error})") from error
    from fpg.serve.confine import Limits
    from fpg.serve.judging import Loading
    from fpg.serve.ray_replicas import Cluster, RayReplicas
    from fpg.serve.workers import Executor, Workers, default_slots

    token = None if arguments.token_file is None else read_token(arguments.token_file)
    processes, slots = default_slots()
    settings = Settings(
        host=arguments.host,
        port=arguments.port,
        token=token,
        spool=arguments.spool or default_spool(),
        quota=arguments.quota,
        keep_s=arguments.keep,
        queue=arguments.queue,
        upload_bytes=arguments.max_upload,
        judge_bytes=min(arguments.max_judge, arguments.max_upload),
        urls=arguments.allow_urls,
        workers=arguments.workers or processes,
        slots=arguments.slots or slots,
        timeout=arguments.timeout or 366 * 86_400,
        grace_s=arguments.grace,
        limits=Limits(
            memory=arguments.memory or None, cpu_s=arguments.cpu, file_bytes=arguments.quota, network=arguments.engine is not None
        ),
    )
    model = os.path.abspath(arguments.model) if arguments.model and os.path.exists(arguments.model) else arguments.model
    loading = Loading(model, arguments.device, arguments.threads, settings.slots, arguments.batch, arguments.engine, commit())
    shared = (settings.slots, settings.limits, settings.timeout)
    executor: Callable[[], Executor] = functools.partial(Workers, loading, settings.workers, *shared)
    if arguments.ray is not None:
        least, most = arguments.replicas
        cluster = Cluster(arguments.ray, least, most, gpus=int(arguments.device.startswith("cuda")))
        executor = functools.partial(RayReplicas, loading, cluster, *shared)
    if token is None and not is_loopback(settings.host):
        print(
            f"WARNING: {settings.host} can be reached from other machines, and no token is required: everybody there may use this server "
            "(--token-file)",
            file=sys.stderr,
            flush=True,
        )
    log_to_stderr()
    return serve(settings, executor, ready=lambda address: print(one_line(f"serving on {address}"), flush=True))


if __name__ == "__main__":
    sys.exit(main())
