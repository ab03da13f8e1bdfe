"""What the kernels are compared with: each operation written once more from its equations, sharing nothing with `csrc/`."""
