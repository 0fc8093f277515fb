"""Floor 2: the vault. The last room that sees plaintext; below it only ciphertext.

``vault.py`` is the door: every method takes a permit.  Behind it: ``writer`` (one transaction and one pack for
the writes that wait), ``reader`` and ``search`` (catalogue, open, journal, answer), ``blobs`` (large binaries),
``erase`` and ``rebuild``; the pure files are ``payload``, ``pack`` and ``tokens``.
"""
