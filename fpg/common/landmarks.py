"""What is known of landmarks by their number, for faces and augmentation alike: dlib's 68 points, then 13 on the forehead.

The 13 follow the 81-point model that SBI (CVPR 2022) used.
"""

from __future__ import annotations

COORDINATE_LIMIT = 32767
"""Largest landmark coordinate and image side that OpenCV's and fpg's rasterising and warping can handle, in pixels."""
FOREHEAD_ALONG_HULL = (77, 75, 76, 68, 69, 70, 71, 80, 72, 73, 79, 74, 78)
"""The forehead points in the order in which the outline of the face meets them, from the left temple (in the image) to the right."""
