"""The albumentations pipeline as a process: one JSON object per line in, one per line out. Started by `environment.Rival`.

{"load": FILE.npz, "size": 380}   images image0, image1, ..., landmarks [N, 81, 2], boxes [N, 4]; answers the versions
{"pairs": N}                      makes N pairs, face after face; answers the seconds that took
{"save": FILE.npz, "pairs": N}    makes N pairs into a file: fake, real, source, mask
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network for a newer version otherwise
sys.path.insert(0, str(Path(__file__).parents[2]))

import cv2
import numpy as np

from alternatives.pairs.pipeline import Pairs


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints stays out of the answers
    cv2.setNumThreads(1)
    faces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    pipeline = Pairs()
    turn = 0

    def make(count: int) -> list[list[np.ndarray]]:
        nonlocal turn
        turn += count
        return [pipeline(*faces[i % len(faces)]) for i in range(turn - count, turn)]

    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, object] = {}
        if "load" in request:
            with np.load(request["load"]) as data:
                images = [data[f"image{i}"] for i in range(len(data["boxes"]))]
                faces = list(zip(images, data["landmarks"], data["boxes"], strict=True))
            pipeline, turn = Pairs(request["size"]), 0
            answer["versions"] = {name: version(name) for name in ("albumentations", "opencv-python-headless", "scipy", "numpy")}
        else:
            start = time.perf_counter()
            pairs = make(request["pairs"])
            answer["seconds"] = time.perf_counter() - start
            if "save" in request:
                np.savez(
                    request["save"], **dict(zip(("fake", "real", "source", "mask"), map(np.stack, zip(*pairs, strict=True)), strict=True))
                )
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
