"""Operations: thin Python over the compiled kernels, each beside a pure-torch reference.

`fpg.ops.perception` is one operation per file; `fpg.ops.backend` chooses between kernel and reference.
"""
