"""Floor 1: the journal. Entries are sealed, put in a Merkle tree, published as tiles, signed and cosigned.

Pure files (no I/O, standard library and ``cryptography`` only, shared with ``hygie.verify``): ``leaf``, ``merkle``,
``tiles``, ``checkpoint``, ``errors``.
"""
