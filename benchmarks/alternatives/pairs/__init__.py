"""Self-blended pairs as users of OpenCV, SciPy, albumentations and kornia write them. Nothing here imports fpg."""
