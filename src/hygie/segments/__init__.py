"""The logs of registers and of evidence as the sites hold them: sealed, signed segments that never change.

Source: docs/formats/proof-segments.md v1.
"""
