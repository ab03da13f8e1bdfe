"""Whether the server on this machine is ready, for health checks: `python -m fpg.serve.probe [ADDRESS]`; exit code 0 when it is."""

from __future__ import annotations

import sys
import urllib.request


def main(address: str = "http://127.0.0.1:8000") -> int:
    """0 when the server at `address` would judge a job, else 1."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/readyz", timeout=4) as answer:
            return int(answer.status != 200)
    except OSError as error:
        print(f"error: {address}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
