"""Blind tokens: what the database may know of an id or a searched value.

Source: docs/formats/catalogue.md v1; keyed BLAKE2b is the MAC of RFC 7693 section 2.9 (docs/adr/0008).
Keys are per environment and per purpose, so equal values in two environments give unrelated tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

ID_TOKEN_BYTES = 16
TERM_TOKEN_BYTES = 8
_TERM_CACHE_MAX = 50_000  # codes and units repeat; 50,000 entries are about 8 MB


class BlindIndex:
    """Tokens of one environment.

    Args: id_key, index_key: 32 bytes each.
    """

    def __init__(self, *, id_key: bytes, index_key: bytes) -> None:
        self._ids = hashlib.blake2b(key=id_key, digest_size=ID_TOKEN_BYTES)
        self._terms = hashlib.blake2b(key=index_key, digest_size=TERM_TOKEN_BYTES)
        self._cache: dict[str, bytes] = {}

    def object_id(self, type_: str, id_: str) -> bytes:
        """16 bytes standing for ``type/id`` in the catalogue, the packs and the journal."""
        state = self._ids.copy()
        state.update(f"{type_}/{id_}".encode())
        return state.digest()

    def subject(self, kind: str, ids: Iterable[str]) -> bytes:
        """16 bytes standing for a compartment's owner: one patient, a set of patients, or the environment."""
        state = self._ids.copy()
        state.update(("\0".join((kind, *ids))).encode())
        return state.digest()

    def owner(self, patients: Iterable[str]) -> tuple[int, bytes]:
        """Kind (0 environment, 1 one patient, 2 several) and subject of the compartment of what belongs to these."""
        listed = sorted(set(patients))
        kind = min(len(listed), 2)
        return kind, self.subject(("environment", "patient", "patients")[kind], listed)

    def member(self, fields: bytes) -> bytes:
        """16 bytes that say that a row of a set's member is ours: a MAC of its columns, of fixed widths."""
        state = self._ids.copy()
        state.update(b"member\0" + fields)
        return state.digest()

    def term(self, term: str) -> bytes:
        """8 bytes standing for one index term."""
        token = self._cache.get(term)
        if token is None:
            state = self._terms.copy()
            state.update(term.encode())
            token = state.digest()
            if len(self._cache) >= _TERM_CACHE_MAX:
                self._cache.clear()
            self._cache[term] = token
        return token

    def terms(self, terms: Iterable[str]) -> list[bytes]:
        """Tokens of several terms, in order."""
        one = self.term
        return [one(term) for term in terms]

    def numbers(self, terms: Iterable[str]) -> list[int]:
        """The same as signed 64-bit integers, as PostgreSQL compares them."""
        return [int.from_bytes(self.term(term), "big", signed=True) for term in terms]


def type_code(type_: str) -> int:
    """A positive 31-bit number for a type name, the same everywhere: what the catalogue's rows hold."""
    return int.from_bytes(hashlib.sha256(type_.encode()).digest()[:4], "big") & 0x7FFFFFFF


# Taken by who writes an object of more patients than can be locked one by one, shared, and by each erasure.
MANY_PATIENTS_LOCK = int.from_bytes(hashlib.sha256(b"hygie many patients").digest()[:8], "big", signed=True)


def lock_key(token: bytes) -> int:
    """The advisory lock of an id token: its first 8 bytes as a signed integer."""
    return int.from_bytes(token[:8], "big", signed=True)
