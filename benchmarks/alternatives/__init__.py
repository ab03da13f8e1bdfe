"""What the benchmarks compare with, written as a user would find it elsewhere; the tests use it as an independent reference."""
