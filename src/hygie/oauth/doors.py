"""The door the face knocks at."""

from __future__ import annotations

from typing import Protocol

from hygie.gate.desk import Opened, Proof
from hygie.gate.snapshot import Bearer


class Exchange(Protocol):
    """Who changes a person's authorization code for a session."""

    async def exchange(
        self, names: tuple[str, str], proof: Proof, *, code: str, verifier: str, redirect_uri: str
    ) -> Opened:
        """A session of the person whose code it is."""
        ...


class Desk(Protocol):
    """Who opens sessions, says what they stand for, and ends them."""

    async def open(self, tenant: str, environment: str, proof: Proof, scope: str) -> Opened:
        """A session in one environment."""
        ...

    async def look(self, proof: Proof, token: str) -> Bearer | None:
        """Whom a token stands for."""
        ...

    async def close(self, proof: Proof, token: str) -> bool:
        """End a session; whether the token is of a kind that ends here."""
        ...
