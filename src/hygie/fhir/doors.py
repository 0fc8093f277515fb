"""The two doors the face knocks at. The face holds no key, no connection, and decides no right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Protocol

from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.base.permit import Permit
from hygie.vault.model import Page, Query, Stored, WriteRequest, Written


class GateDoor(Protocol):
    """Who may do what: the only maker of permits."""

    async def admit(
        self,
        token: str,
        *,
        tenant: str,
        environment: str,
        action: Action,
        also: Collection[Action] = (),
        if_held: Collection[Action] = (),
        types: Collection[str] = (),
        weight: int = 1,
        purpose: str = "",
        address: str = "",
        device: str = "",
        certificate: bytes = b"",
        renews: bytes = b"",
    ) -> Permit:
        """A permit for ``action`` and each of ``also`` on these types, what is held of ``if_held``, or a refusal.

        Args: weight: how many entries a bundle has, which count against the caller's rate; renews: id of the permit
        that this one replaces while a request lasts.
        """
        ...

    async def recognise(
        self,
        token: str,
        *,
        tenant: str,
        environment: str,
        action: Action,
        address: str = "",
        device: str = "",
        certificate: bytes = b"",
    ) -> None:
        """Refuse who is nobody of this place; what it may do is still to be asked."""
        ...


class Content(Protocol):
    """A binary content that is read in pieces."""

    @property
    def size_bytes(self) -> int:
        """Size of the plaintext."""
        ...

    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` (inclusive) to ``stop`` (exclusive)."""
        ...


class VaultDoor(Protocol):
    """The door of the vault: every method takes a permit, and journals before it answers."""

    async def write(self, permit: Permit, request: WriteRequest) -> list[Written]:
        """All of a request or none of it."""
        ...

    async def read(self, permit: Permit, type_: str, id_: str) -> Stored:
        """The current version."""
        ...

    async def read_version(self, permit: Permit, type_: str, id_: str, version: int) -> Stored:
        """A given version."""
        ...

    async def history(
        self,
        permit: Permit,
        type_: str | None,
        id_: str | None,
        *,
        count: int,
        cursor: str | None = None,
        since_ms: int = 0,
    ) -> Page:
        """Versions, newest first, of one object, a type, or the environment."""
        ...

    async def search(self, permit: Permit, query: Query) -> Page:
        """One page of matches."""
        ...

    async def write_stream(
        self,
        permit: Permit,
        type_: str,
        id_: str,
        chunks: AsyncIterator[bytes],
        *,
        header: bytes,
        terms: Sequence[str] = (),
        patients: tuple[str, ...] = (),
        new: bool = False,
        if_version: int | None = None,
        renew: Callable[[], Awaitable[Permit]] | None = None,
    ) -> Written:
        """A content stored without being held whole; ``header`` becomes the body of its object.

        Args: renew: gives the permit as it is once all was received.
        """
        ...

    async def open_stream(
        self, permit: Permit, type_: str, id_: str, version: int | None = None
    ) -> tuple[Stored, Content | None]:
        """An object and, if its content was streamed, what reads it by ranges."""
        ...

    async def record_refusal(self, permit: Permit, error: HygieError) -> None:
        """Journal that an entitled caller was refused for what it sent, before it is told so."""
        ...
