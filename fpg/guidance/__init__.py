"""Forgery Perception Guidance (FPG, ACM MM 2024): how the detector perceives a forgery decides what is done to it.

Next to the paper: `response_map` (Grad-CAM), `shape` and `magnitude` (the two refinements of a forgery), `losses` (the explicit
targets), `quality` (what the quality head learns). `draws` makes every draw beforehand, `guide.refine` applies them to a batch,
`config` holds the constants. Import from these modules.
"""
