"""dlib's landmarks: the order of the 81 points, and which of MediaPipe's 468 lie closest to each.

Left and right are as seen in the image of an upright, unmirrored face. The 468-point topology is that of MediaPipe Face
Mesh (arXiv 1907.06724), the 68-point one that of 300-W (ICCV Workshops 2013); the 13 forehead points follow the
81-point model that SBI (CVPR 2022) used.
"""

from __future__ import annotations

import numpy as np

from fpg.common.landmarks import FOREHEAD_ALONG_HULL

JAW = (127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356)
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
LIPS_OUTER = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181)
LIPS_INNER = (78, 82, 13, 312, 308, 317, 14, 87)
_HAIRLINE = (162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389)

_forehead = dict(zip(FOREHEAD_ALONG_HULL, _HAIRLINE, strict=True))
MESH_TO_81 = (*JAW, *BROWS, *NOSE, *EYES, *LIPS_OUTER, *LIPS_INNER, *(_forehead[i] for i in range(68, 81)))
"""For each of dlib's 81 points, the index of the mesh point that stands for it."""


def landmarks_of_mesh(mesh: np.ndarray) -> np.ndarray:
    """dlib-style landmarks of a mesh.

    Args:
        mesh: float [468, >= 2].

    Returns:
        float32 [81, 2]: dlib's 68 points, then 13 on the forehead.
    """
    return np.asarray(mesh)[list(MESH_TO_81), :2].astype(np.float32)
