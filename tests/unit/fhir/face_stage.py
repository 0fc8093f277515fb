"""A gate and a vault in memory, with the real ones' meaning, behind the real face on a real TLS socket.

The doubles keep versions, conflicts, deletions and search by terms; the acceptance tests use the real rooms.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hygie.base.actions import Action
from hygie.base.errors import HygieError, InvalidRequestError, NotFoundError, RefusedError
from hygie.base.permit import Permit, Place
from hygie.base.turns import Turns
from hygie.fhir.answers import server_refusal
from hygie.fhir.face import Face
from hygie.gate.errors import AuthenticationError
from hygie.server.certificates import CertificateFiles, own_certificate
from hygie.server.limits import Limits
from hygie.server.server import HttpServer, listen
from hygie.server.tls import LiveTls
from hygie.vault.errors import CursorError, ObjectDeletedError, ObjectTooLargeError, VersionConflictError
from hygie.vault.model import Blob, NewObject, Page, Query, Stored, WriteRequest, Written

START_MS = 1_700_000_000_123
ALL = frozenset({a for a in Action if a.startswith("object:")})
TOKENS = {"all": ALL, "reader": frozenset({Action.OBJECT_READ, Action.OBJECT_SEARCH, Action.OBJECT_HISTORY})}
BASE = "/acme/prod/fhir"


class MemoryGate:
    """Tokens ``all`` and ``reader`` in acme/prod; remembers what it refused."""

    def __init__(self) -> None:
        self.admitted: list[Permit] = []
        self.refused: list[str] = []
        self.weights: list[int] = []

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
        """As the real gate."""
        del types, certificate
        self.weights.append(weight)
        await self.recognise(token, tenant=tenant, environment=environment, action=action)
        if not {action, *also} <= TOKENS[token]:
            self._refuse(RefusedError())
        place = Place(bytes(16), bytes(16), "hygie_env_1")
        permit = Permit(
            renews or bytes(16), token, "", "token", action, place, "h", purpose, address, device,
            (frozenset(also) | (TOKENS[token] & frozenset(if_held))) - {action},
        )  # fmt: skip
        self.admitted.append(permit)
        return permit

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
        """As the real gate."""
        del certificate
        if token not in TOKENS:
            self._refuse(AuthenticationError())
        if (tenant, environment) != ("acme", "prod"):
            self._refuse(NotFoundError())

    def _refuse(self, error: HygieError) -> None:
        self.refused.append(error.code)
        raise error


@dataclass
class MemoryContent:
    """A streamed content."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return len(self.data)

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """By pieces of 64 KiB."""
        for at in range(start, stop, 65536):
            yield self.data[at : min(stop, at + 65536)]


@dataclass
class _Row:
    stored: Stored
    terms: Sequence[str]
    patients: tuple[str, ...]


@dataclass
class MemoryVault:
    """Objects, versions and terms in memory, one writer at a time."""

    rows: list[_Row] = field(default_factory=list)
    contents: dict[bytes, bytes] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    last: dict[tuple[str, str], _Row] = field(default_factory=dict)
    broken: Exception | None = None
    writes: int = 0

    def current(self, type_: str, id_: str) -> _Row | None:
        """The last version."""
        return self.last.get((type_, id_))

    def live(self) -> list[_Row]:
        """Current versions that are not deletions, oldest first."""
        return [r for r in self.rows if self.last[r.stored.type, r.stored.id] is r and not r.stored.deleted]

    async def write(self, permit: Permit, request: WriteRequest) -> list[Written]:
        """All or nothing."""
        self.writes += 1
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        found = {
            c.key: [
                r.stored.id
                for r in self.live()
                if r.stored.type == c.type
                and all(set(clause) & set(r.terms) for clause in c.clauses)
                and (c.matches is None or c.matches(r.stored.body, c.type))
            ][:2]
            for c in request.conditions
        }
        objects = request.objects(found) if callable(request.objects) else request.objects
        planned: list[tuple[_Row | None, Written]] = []
        seen: set[tuple[str, str]] = set()
        for one in objects:
            if (one.type, one.id) in seen:
                raise InvalidRequestError(reason="the same resource appears twice in one transaction")
            seen.add((one.type, one.id))
            planned.append(self._plan(permit, one))
        for row, _ in planned:
            if row is not None:
                self.rows.append(row)
                self.last[row.stored.type, row.stored.id] = row
        return [written for _, written in planned]

    def _plan(self, permit: Permit, one: NewObject) -> tuple[_Row | None, Written]:
        before = self.current(one.type, one.id)
        alive = before is not None and not before.stored.deleted
        existing = before.stored.version if before else 0
        if one.if_version is not None and one.if_version != (existing if alive else 0):
            raise VersionConflictError()
        if one.delete and not alive:
            return None, Written(one.type, one.id, existing, START_MS, created=False)
        change = Action.OBJECT_DELETE if one.delete else Action.OBJECT_UPDATE if alive else Action.OBJECT_CREATE
        if not permit.allows(change):
            raise RefusedError()
        at_ms = START_MS + len(self.rows)
        stored = Stored(one.type, one.id, existing + 1, at_ms, one.body, one.delete, one.blob)
        row = _Row(stored, one.terms, one.patients)
        return row, Written(one.type, one.id, existing + 1, at_ms, created=not alive)

    async def read(self, permit: Permit, type_: str, id_: str) -> Stored:
        """The current version."""
        return await self.read_version(permit, type_, id_, 0)

    async def read_version(self, permit: Permit, type_: str, id_: str, version: int) -> Stored:
        """One version; 0 = the current one."""
        assert permit.allows(Action.OBJECT_READ)
        if self.broken is not None:
            raise self.broken
        row = self.current(type_, id_)
        if version:
            key = (type_, id_, version)
            row = next((r for r in self.rows if (r.stored.type, r.stored.id, r.stored.version) == key), None)
        if row is None:
            raise NotFoundError()
        if row.stored.deleted:
            raise ObjectDeletedError(version=row.stored.version)
        return row.stored

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
        """Versions, newest first."""
        assert permit.allows(Action.OBJECT_HISTORY)
        rows = [
            r.stored
            for r in reversed(self.rows)
            if type_ in (None, r.stored.type) and id_ in (None, r.stored.id) and r.stored.at_ms >= since_ms
        ]
        return _page(rows, count, cursor)

    async def search(self, permit: Permit, query: Query) -> Page:
        """Matches by terms, then by the exact filter."""
        assert permit.allows(Action.OBJECT_SEARCH)
        found = [
            r.stored
            for r in self.live()
            if (not query.types or r.stored.type in query.types)
            and (query.patient is None or query.patient in r.patients)
            and (query.ids is None or r.stored.id in query.ids)
            and all(set(clause) & set(r.terms) for clause in query.clauses)
            and (query.matches is None or query.matches(r.stored.body, r.stored.type))
        ]
        if query.sort_key is not None:
            found.sort(key=lambda s: query.sort_key(s.body, s.type))  # type: ignore[misc]
        if not query.ascending:
            found.reverse()
        page = _page(found, query.count, query.cursor)
        if query.total or query.count == 0:
            page.total = len(found)
        if query.include is not None:
            named = {pair for s in page.items for pair in query.include(s.body, s.type)}
            page.included = [r.stored for r in self.live() if (r.stored.type, r.stored.id) in named]
        return page

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
        """A content in memory."""
        held = bytearray()
        async for chunk in chunks:
            held += chunk
            if len(held) > 64_000_000:
                raise ObjectTooLargeError(limit_bytes=64_000_000)
        if renew is not None:
            permit = await renew()
        blob = Blob(len(self.contents).to_bytes(16, "big"), bytes(16), len(held), 1)
        self.contents[blob.blob_id] = bytes(held)
        one = NewObject(type_, id_, header, terms, patients, new=new, if_version=if_version, blob=blob)
        return (await self.write(permit, WriteRequest([one])))[0]

    async def open_stream(
        self, permit: Permit, type_: str, id_: str, version: int | None = None
    ) -> tuple[Stored, MemoryContent | None]:
        """An object and its content."""
        stored = await self.read_version(permit, type_, id_, version or 0)
        return stored, MemoryContent(self.contents[stored.blob.blob_id]) if stored.blob else None

    async def record_refusal(self, permit: Permit, error: HygieError) -> None:
        """Remember the code."""
        self.refusals.append(error.code)


def _page(rows: list[Stored], count: int, cursor: str | None) -> Page:
    try:
        start = int(base64.b64decode(cursor)) if cursor else 0
    except ValueError as error:
        raise CursorError() from error
    following = base64.b64encode(str(start + count).encode()).decode() if start + count < len(rows) and count else None
    return Page(rows[start : start + count], next=following)


@dataclass
class Reply:
    """What came back. headers: names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error code of an OperationOutcome."""
        assert self.json["resourceType"] == "OperationOutcome"
        code: str = self.json["issue"][0]["details"]["coding"][0]["code"]
        return code


@dataclass
class Stage:
    """The face being served."""

    port: int
    gate: MemoryGate
    vault: MemoryVault
    files: CertificateFiles

    def client_context(self) -> ssl.SSLContext:
        """A client's TLS context that trusts the own certificate."""
        return ssl.create_default_context(cafile=str(self.files.authority))

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TLS connection."""
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.client_context(), server_hostname="localhost", limit=1 << 22
        )

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "all",
        headers: dict[str, str] | None = None,
        base: str = BASE,
    ) -> Reply:
        """One request on a connection of its own. body: bytes as they are, anything else as FHIR JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        asked = {"host": "localhost", "connection": "close"}
        if token is not None:
            asked["authorization"] = f"Bearer {token}"
        if body is not None:
            asked |= {"content-type": "application/fhir+json", "content-length": str(len(raw))}
        asked |= headers or {}
        head = f"{method} {base}{path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in asked.items() if v) + "\r\n"
        reader, writer = await self.open()
        try:
            writer.write(head.encode("latin-1") + raw)
            return await read_reply(reader, head_only=method == "HEAD")
        finally:
            writer.close()


async def read_reply(reader: asyncio.StreamReader, *, head_only: bool = False) -> Reply:
    """One HTTP answer."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
    lines = head.split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:]) if k}
    status = int(lines[0].split(" ")[1])
    if head_only or status in {204, 304}:
        body = b""
    elif headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
    else:
        body = await asyncio.wait_for(reader.readexactly(int(headers.get("content-length", "0"))), 10)
    return Reply(status, headers, body)


def staged(
    folder: Path,
    scenario: Callable[[Stage], Awaitable[None]],
    *,
    limits: Limits | None = None,
    turns: Turns | None = None,
) -> None:
    """Run a scenario against the face on a TLS socket."""

    async def main() -> None:
        async with _serving(folder, limits, turns) as stage:
            await scenario(stage)

    asyncio.run(main())


@contextlib.asynccontextmanager
async def _serving(folder: Path, limits: Limits | None, turns: Turns | None) -> AsyncIterator[Stage]:
    gate, vault = MemoryGate(), MemoryVault()
    files = own_certificate(folder / "tls", ["localhost"])
    server = HttpServer(
        Face(gate, vault, version="0", turns=turns),
        tls=LiveTls(files),
        limits=limits,
        refusal=server_refusal,
        access_log=True,
    )
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    task = asyncio.create_task(server.serve([listener]))
    await server.started.wait()
    try:
        yield Stage(port, gate, vault, files)
    finally:
        server.stop()
        await asyncio.wait_for(task, 30)


def patient(**more: Any) -> dict[str, Any]:
    """A small Patient."""
    return {"resourceType": "Patient", "name": [{"family": "Dupont", "given": ["Élise"]}], **more}


def observation(subject: str, value: str = "1.50", **more: Any) -> bytes:
    """A small Observation with a decimal whose zeros matter."""
    resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2024-03-05T10:00:00Z",
        "valueQuantity": {"value": 0, "unit": "g/dL"},
        **more,
    }
    return json.dumps(resource).replace('"value": 0', f'"value": {value}').encode()
