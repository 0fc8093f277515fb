"""What the journal asks of other rooms. ``app.py`` hands them in: journal imports neither database, keys nor sites."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

import psycopg

T = TypeVar("T")


class Transactions(Protocol):
    """A pool: one transaction of one connection at a time, committed at exit."""

    def transaction(self, role: str | None = None) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]: ...


@runtime_checkable
class Later(Protocol):
    """A transaction that can carry a statement with its COMMIT, in one round trip."""

    def later(self, sql: str, values: Sequence[Any] = ()) -> None: ...


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
    """One object store; its calls block."""

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes: ...

    def list(self, prefix: str) -> Iterable[tuple[str, int]]: ...

    def delete(self, name: str) -> None: ...


class Link(Protocol):
    """The way to one store, for what must look at each alone: checkpoints, the tree's edge, clean-up."""

    @property
    def site(self) -> OneSite: ...

    def read(self, call: Callable[[OneSite], T]) -> asyncio.Future[T]:
        """Make a blocking call on a thread of this store's own: one that hangs takes no thread from anybody else."""

    async def ask(self, call: Callable[[OneSite], T]) -> T:
        """The same, aside from reads. Raises: UnavailableError: the store hangs."""


class Sites(Protocol):
    """All object stores together; a write returns when a quorum has made it durable."""

    @property
    def links(self) -> Sequence[Link]: ...

    @property
    def quorum(self) -> int: ...

    async def place(self, name: str, data: bytes) -> object: ...

    async def replace(self, name: str, data: bytes) -> object: ...

    async def read_valid(self, name: str, offset: int, length: int | None, check: Callable[[bytes], T]) -> T: ...
