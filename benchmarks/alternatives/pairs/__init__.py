"""What `benchmarks/augment.py` compares with: METHOD section 2 as users of OpenCV, SciPy, albumentations and kornia write it. Nothing here imports fpg."""
