"""What the journal asks of other rooms. ``app.py`` hands them in: journal imports neither database, keys nor sites."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import psycopg


class Transactions(Protocol):
    """A pool: one transaction of one connection at a time, committed at exit."""

    def transaction(self, role: str | None = None) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]: ...


class MonthKeys(Protocol):
    """Gives the 32-byte key of (tenant, class, month); keeps what is hot.

    Raises: NotFoundError (any of the family): the key was destroyed at the end of retention.
    """

    async def month_key(self, tenant_id: bytes, kind: str, month: str) -> bytes: ...


class Signer(Protocol):
    """Signs with the journal's Ed25519 key, which never leaves the KMS. ``name`` is the journal's origin."""

    @property
    def name(self) -> str: ...

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes | Awaitable[bytes]: ...


class Clock(Protocol):
    """Milliseconds UTC."""

    def now_ms(self) -> int: ...


class OneSite(Protocol):
    """One object store, for the two things that must look at each store alone: checkpoints and clean-up."""

    @property
    def name(self) -> str: ...

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes: ...

    def list(self, prefix: str) -> Iterable[tuple[str, Any]]: ...

    def delete(self, name: str) -> None: ...


class Sites(Protocol):
    """All object stores together; writes return when a quorum has made them durable."""

    @property
    def sites(self) -> Sequence[Any]: ...

    @property
    def quorum(self) -> int: ...

    async def place(self, name: str, data: bytes) -> object: ...

    async def replace(self, name: str, data: bytes) -> object: ...

    async def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes: ...

    async def read_many(self, items: list[tuple[str, int, int | None]]) -> list[bytes | None]: ...
