"""The bounds of the scan statistic in `fpg/findings/tables.json`: what tracks without a change pass in 5 % of cases.

    python benchmarks/segment_bounds.py [--runs 4000] [--correlation 0.7]

Stationary series in which each value keeps a fraction of the one before (AR(1), Gaussian) are made and searched; the 95 % quantile of the
statistic is printed for each length. Weaker correlation has smaller quantiles, so that the bounds hold for it, too.
"""

from __future__ import annotations

import argparse

import numpy as np

from fpg.findings.segments import scan
from fpg.findings.tables import TABLES


def quantile(count: int, runs: int, correlation: float, rng: np.random.Generator) -> float:
    """The 95 % quantile over series of `count` values."""
    values = rng.standard_normal((runs, count))
    for at in range(1, count):
        values[:, at] = correlation * values[:, at - 1] + np.sqrt(1 - correlation**2) * values[:, at]
    return float(np.quantile([scan(row)[0] for row in values], 0.95))


def main() -> None:
    """Print a row per length."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", type=int, default=4000)
    p.add_argument("--correlation", type=float, default=0.7)
    options = p.parse_args()
    rng = np.random.default_rng(0)
    for count, stated in TABLES["segments"]["bounds"]:
        print(f"[{count}, {quantile(int(count), options.runs, options.correlation, rng):.2f}]  stated {stated}", flush=True)


if __name__ == "__main__":
    main()
