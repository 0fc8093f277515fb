"""Whether two names are one person's, as far as names tell. Pure.

An account, somebody behind a terminal of the machine (``local:anne``) and a name as it was typed stand side by side in
requests, registers and instructions.  What takes two persons asks here; nothing is given to anybody by it.
"""

from __future__ import annotations

import unicodedata


def plain(name: str) -> str:
    """A person as an account or as typed: ``local:anne``, ``Anne `` and ``ANNE`` are one."""
    return unicodedata.normalize("NFKC", name).rpartition(":")[2].strip().casefold()


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: to refuse who would be both, never to let somebody act as another."""
    return plain(one) == plain(other)
