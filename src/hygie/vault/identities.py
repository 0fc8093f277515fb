"""Whose identities an environment may hold: people's in production, test ones everywhere else. Pure.

Source: ANS, *Référentiel INS*, OIDs of the national health identity: .8 INS-NIR and .9 INS-NIA name people, .10 and .11
are for tests and demonstrations.  Real people in a test environment are there without its guarantees; made-up ones in
production are a danger for care.
"""

from __future__ import annotations

from hygie.vault.errors import IdentityRefusedError

PRODUCTION = "production"
ARC = b"1.2.250.1.213.1.4."
REAL, MADE_UP = frozenset({b"8", b"9"}), frozenset({b"10", b"11"})
_DIGITS = frozenset(b"0123456789")


def check_identities(body: bytes, kind: str) -> None:
    """Refuse a body that names an identity which this kind of environment may not hold; about 0.1 µs a kilobyte.

    Args: body: canonical text of an object; kind: of its environment, "" where it is not known (offline work).
    Raises: IdentityRefusedError: names the OID, never the number.
    """
    at = body.find(ARC)
    while at >= 0:
        end = start = at + len(ARC)
        while end < len(body) and body[end] in _DIGITS:
            end += 1
        if kind and body[start:end] in (MADE_UP if kind == PRODUCTION else REAL):
            raise IdentityRefusedError(oid=body[at:end].decode(), kind=kind)
        at = body.find(ARC, end)
