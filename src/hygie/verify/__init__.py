"""The offline verifier: checks a journal export with public keys and nothing else.

Standard library and ``cryptography`` only, with ``hygie.base`` and the pure files of ``hygie.journal``; also shipped
alone as ``hygie-verify.py`` (tools/build_verifier.py).
"""
