"""Benchmarks: what a request costs on this machine, beside what others do. Run by ``make bench``."""
