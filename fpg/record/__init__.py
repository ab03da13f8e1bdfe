"""The record: what was examined, by what, where and when, in a form that a second examiner can check (docs/records.md). No torch.

Nothing here judges: the runtime takes down what it looked at (`exhibit`), the programs what ran (`run`), and `compare` says whether two
results are the same.
"""
