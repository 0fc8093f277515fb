"""Hygie hosts health data the way the French HDS référentiel demands, and proves it."""

__version__ = "0.1.0"
