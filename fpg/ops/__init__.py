"""The compiled kernels that guidance calls, each next to its reference, and what all calls of kernels share.

`perception`, `magnitude` and `feathering` are the operations; `backend` chooses between kernels and references. Kernels of pairs
are called by `fpg.pairs.operations`.
"""
