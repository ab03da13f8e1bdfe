"""From scores to a finding: how strong the evidence is and what limits it, in which face, at which time. Pure functions, no torch.

`tables.json` holds words, bounds and constants: the one file that Python and the C++ runtime read (`docs/findings.md`).
"""
