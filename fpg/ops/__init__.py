"""The compiled kernels that guidance and engines call, each next to its reference, and what all calls of kernels share.

`perception`, `magnitude`, `feathering` and `crop` are the operations; `backend` chooses between kernels and references. Kernels of pairs
are called by `fpg.pairs.operations`.
"""
