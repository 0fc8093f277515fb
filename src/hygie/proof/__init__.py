"""Proof: what an obligation asks, what is observed of it now, and whether the one meets the other.

Facts are gathered by the room ``probes``, checks judge them (``checks``, pure), ``judge`` makes a verdict of the
findings. What was not observed is unknown, and unknown is never green.
"""
