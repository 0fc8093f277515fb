"""What a client may ask of one resource: create, read, update, delete, each with its conditional form.

Source: http://hl7.org/fhir/R4/http.html.  Nothing here decides a right: the gate admits, the vault does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.base.language import language_asked
from hygie.base.permit import SET_TYPE, Permit
from hygie.base.turns import Turns
from hygie.fhir.answers import Answer, resource_bytes, success_outcome, with_version
from hygie.fhir.doors import GateDoor, VaultDoor
from hygie.fhir.face_errors import FACE_ROOM, BodyError, incident
from hygie.fhir.patient_sets import members_of
from hygie.fhir.queries import condition
from hygie.fhir.requests import (
    PARSE_APART_FROM_BYTES,
    RESOURCE_BODY_BYTES_MAX,
    BodyReader,
    Call,
    check_json_content,
    preferred_return,
    query_text,
    version_of_etag,
)
from hygie.fhir.search import extract
from hygie.fhir.structures import Parsed, encode, parse, parse_clean
from hygie.vault.errors import AmbiguousConditionError, ObjectDeletedError
from hygie.vault.model import NewObject, Stored, WriteRequest, Written

STALE_S = 0.5  # a permit older than this is asked anew before it is used: who is shut out is out within a second
WITH_BODY = frozenset({"POST", "PUT"})  # a turn is taken once the body is there: who sends slowly keeps no turn
UPSERT = frozenset({Action.OBJECT_CREATE})  # a PUT creates what is not there (update as create)
_KEY = "request"  # a single interaction has one condition


def draw_id() -> str:
    """A logical id nobody can guess: 128 random bits, 32 hexadecimal digits (base 32 would cost ten times more)."""
    return os.urandom(16).hex()


def new_object(parsed: Parsed, id_: str, base: str, *, new: bool = False, if_version: int | None = None) -> NewObject:
    """What the vault stores of a parsed resource: canonical bytes without version and instant, index terms, patients.

    Args: base: our own address of this environment, so that absolute references under it are known as ours.
    Side effects: sets the resource's id, removes the version and instant a client may have left in it.
    """
    resource = parsed.resource
    had_version = strip_version(resource)
    cut = len(parsed.type) + 18  # {"resourceType":"…"
    head = parsed.encoded[:cut]
    if resource.id is not None:
        cut += len(resource.id) + 8  # ,"id":"…"
    resource.id = id_
    found = extract(resource, base)
    # The text was encoded once to be checked: only its id changes, so it is not encoded again.
    body = encode(resource) if had_version else b"".join((head, b',"id":"', id_.encode(), b'"', parsed.encoded[cut:]))
    members = members_of(resource, base) if parsed.type == SET_TYPE else ()
    return NewObject(
        parsed.type, id_, body, found.terms, found.patients, new=new, if_version=if_version, members=members
    )


def strip_version(resource: Any) -> bool:
    """Take out what the server alone says: ``meta.versionId`` and ``meta.lastUpdated``. Whether there was any."""
    meta = resource.meta
    if meta is None or (meta.versionId is None and meta.lastUpdated is None):
        return False
    meta.versionId = meta.lastUpdated = None
    if all(getattr(meta, name) is None for name in meta.__struct_fields__):
        resource.meta = None
    return True


def not_modified(call: Call, stored: Stored) -> bool:
    """Whether the client already holds this version (If-None-Match wins over If-Modified-Since, RFC 9110 13.2.2)."""
    tags = call.headers.get(b"if-none-match")
    if tags is not None:
        return tags.strip() == b"*" or any(version_of_etag(tag) == stored.version for tag in tags.split(b",")[:20])
    since = call.headers.get(b"if-modified-since")
    if since is None:
        return False
    from email.utils import parsedate_to_datetime

    try:
        instant = parsedate_to_datetime(since.decode("latin-1"))
        return stored.at_ms // 1000 <= int(instant.timestamp())
    except (ValueError, OverflowError):
        return False  # RFC 9110 13.1.3: a date that is not one is ignored


class Interactions:
    """The interactions on one resource.

    Args: gate, vault: the doors; bodies: reads request bodies within this process's bounds; turns: how environments
    share the process.
    """

    def __init__(self, gate: GateDoor, vault: VaultDoor, bodies: BodyReader, turns: Turns) -> None:
        self.gate = gate
        self.vault = vault
        self.bodies = bodies
        self.turns = turns

    async def admit(
        self,
        call: Call,
        action: Action,
        also: frozenset[Action] = frozenset(),
        *,
        if_held: frozenset[Action] = frozenset(),
        types: Collection[str] | None = None,
        weight: int = 1,
    ) -> Permit:
        """Ask the gate; every interaction begins here.

        Args: also: what it does besides; if_held: what it may turn out to be, which the vault then allows or not;
        types: of resources it asks for, the call's own by default; weight: how many entries a bundle has.
        """
        ask = partial(
            self.gate.admit,
            call.token,
            tenant=call.tenant,
            environment=call.environment,
            action=action,
            also=also,
            if_held=if_held,
            types=types if types is not None else [call.type] if call.type else [],
            certificate=call.certificate,
            purpose=call.purpose,
            address=call.address,
            device=call.device,
        )
        call.asked_s = monotonic()
        permit = call.permit = await ask(weight=weight)
        call.readmit = partial(ask, weight=0, renews=permit.permit_id)
        if call.method not in WITH_BODY:
            await self.turn(call)
            return await self.fresh(call)
        return permit

    async def turn(self, call: Call) -> None:
        """Wait for this environment's turn in the process, once; what lets it in comes first.

        Raises: CrowdedError; as ``fresh``, if the call was admitted before.
        """
        if call.turn is not None:
            return
        call.turn = await self.turns.take(call.place)
        if call.permit is not None:
            await self.fresh(call)

    async def fresh(self, call: Call) -> Permit:
        """The permit of an admitted call as rights are now: it may have sent its body, or waited, for hours.

        Raises: as ``admit``: rights were withdrawn meanwhile.
        """
        assert call.permit is not None
        if call.readmit is not None and monotonic() - call.asked_s > STALE_S:
            call.asked_s = monotonic()
            call.permit = await call.readmit()
        return call.permit

    async def recognise(self, call: Call) -> None:
        """Ask the gate whether the caller is anybody here, when only its body says what it asks."""
        await self.gate.recognise(
            call.token,
            tenant=call.tenant,
            environment=call.environment,
            action=Action.OBJECT_CREATE,
            address=call.address,
            device=call.device,
            certificate=call.certificate,
        )

    async def record_refusal(self, call: Call, error: HygieError) -> HygieError:
        """Journal a refusal that the face itself pronounced on an admitted caller; the vault and gate journal theirs.

        Returns: what to tell the caller: ``error``, or why it could not be journaled.
        """
        if call.permit is None or error.code[5:6] != FACE_ROOM:
            return error
        try:
            await self.vault.record_refusal(call.permit, error)
        except HygieError as unwritten:
            return unwritten
        except Exception as broken:  # as any other accident: a refusal that is not journaled is not told
            return incident(broken)
        return error

    async def read(self, call: Call) -> Answer:
        """GET Type/id."""
        permit = await self.admit(call, Action.OBJECT_READ)
        return self._shown(call, await self.vault.read(permit, call.type, call.id))

    async def vread(self, call: Call) -> Answer:
        """GET Type/id/_history/version."""
        permit = await self.admit(call, Action.OBJECT_READ)
        stored = await self.vault.read_version(permit, call.type, call.id, call.version)
        if stored.deleted:
            raise ObjectDeletedError(version=stored.version)
        return self._shown(call, stored)

    def _shown(self, call: Call, stored: Stored) -> Answer:
        if (b"if-none-match" in call.headers or b"if-modified-since" in call.headers) and not_modified(call, stored):
            return Answer(304, version=stored.version, at_ms=stored.at_ms)
        return Answer(200, resource_bytes(stored), stored.version, stored.at_ms)

    async def create(self, call: Call) -> Answer:
        """POST Type, with If-None-Exist or without."""
        await self.admit(call, Action.OBJECT_CREATE)
        one = new_object(await self.parsed_of(call), draw_id(), call.base, new=True)
        query = call.headers.get(b"if-none-exist")
        if query is not None:
            return await self._create_if_none(call, one, query_text(query))
        (written,) = await self.vault.write(await self.fresh(call), WriteRequest([one]))
        return self._stored(call, one, written)

    async def _create_if_none(self, call: Call, one: NewObject, query: str) -> Answer:
        existing: list[str] = []

        def build(found: Mapping[str, Sequence[str]]) -> list[NewObject]:
            existing[:] = found[_KEY]
            if len(existing) > 1:
                raise AmbiguousConditionError()
            return [] if existing else [one]

        request = WriteRequest(build, [condition(_KEY, call.type, query.lstrip("?"), call.base)])
        written = await self.vault.write(await self.fresh(call), request)
        if not existing:
            return self._stored(call, one, written[0])
        # What exists is named, not shown: showing it would need the right to read.
        return Answer(200, location=f"{call.type}/{existing[0]}")

    async def update(self, call: Call) -> Answer:
        """PUT Type/id, with If-Match or without; creates under the client's id what is not there."""
        expected = self.expected_version(call)
        await self.admit(call, Action.OBJECT_UPDATE, if_held=UPSERT)
        parsed = await self.parsed_of(call)
        if parsed.resource.id != call.id:
            raise BodyError("id-address")
        one = new_object(parsed, call.id, call.base, if_version=expected)
        (written,) = await self.vault.write(await self.fresh(call), WriteRequest([one]))
        return self._stored(call, one, written)

    @staticmethod
    def expected_version(call: Call) -> int | None:
        """The version If-Match asks for; 0 for ``If-None-Match: *`` (must not exist); None for neither."""
        if call.headers.get(b"if-none-match", b"").strip() == b"*":
            return 0
        return version_of_etag(call.headers.get(b"if-match"))

    async def conditional_update(self, call: Call) -> Answer:
        """PUT Type?query: updates the one that matches, creates when none does."""
        expected = self.expected_version(call)
        await self.admit(call, Action.OBJECT_UPDATE, if_held=UPSERT)
        parsed = await self.parsed_of(call)
        fresh = [parsed]  # making an object changes the resource: a second time needs it anew
        made: list[NewObject] = []

        def build(found: Mapping[str, Sequence[str]]) -> list[NewObject]:
            one = fresh.pop() if fresh else parse_clean(parsed.encoded, expected=call.type)
            made[:] = [updated_where(one, found[_KEY], call.base, expected)]
            return made

        request = WriteRequest(build, [condition(_KEY, call.type, call.query, call.base)])
        (written,) = await self.vault.write(await self.fresh(call), request)
        return self._stored(call, made[0], written)

    async def delete(self, call: Call) -> Answer:
        """DELETE Type/id. Deleting what is not there is done already: the same answer."""
        expected = version_of_etag(call.headers.get(b"if-match"))
        permit = await self.admit(call, Action.OBJECT_DELETE)
        one = deletion(call.type, call.id, expected)
        (written,) = await self.vault.write(permit, WriteRequest([one]))
        return Answer(204, version=written.version, at_ms=written.at_ms)

    async def conditional_delete(self, call: Call) -> Answer:
        """DELETE Type?query: deletes the one that matches, nothing when none does."""
        permit = await self.admit(call, Action.OBJECT_DELETE)

        def build(found: Mapping[str, Sequence[str]]) -> list[NewObject]:
            return deleted_where(call.type, found[_KEY])

        request = WriteRequest(build, [condition(_KEY, call.type, call.query, call.base)])
        await self.vault.write(permit, request)
        return Answer(204)

    async def parsed_of(self, call: Call) -> Parsed:
        """The resource in the body, checked.

        Raises: UnsupportedMediaError; BodyTooLargeError; the errors of ``parse``.
        """
        if call.body is None:
            check_json_content(call.headers)
        raw = await self.bodies.read(call, limit_bytes=RESOURCE_BODY_BYTES_MAX)
        await self.turn(call)
        if len(raw) < PARSE_APART_FROM_BYTES:
            return parse(raw, expected=call.type)
        return await asyncio.to_thread(parse, raw, expected=call.type)

    def _stored(self, call: Call, one: NewObject, written: Written) -> Answer:
        answer = Answer(201 if written.created else 200, version=written.version, at_ms=written.at_ms)
        answer.location = f"{written.type}/{written.id}/_history/{written.version}"
        wanted = preferred_return(call.headers.get(b"prefer"), "representation")
        if wanted == "representation":
            answer.body = with_version(written.type, written.id, written.version, written.at_ms, one.body)
        elif wanted == "OperationOutcome":
            answer.body = success_outcome(language_asked(call.headers.get(b"accept-language", b"")))
        return answer


def updated_where(parsed: Parsed, found: Sequence[str], base: str, expected: int | None) -> NewObject:
    """The object a conditional update stores.

    Under the body's own id, only what is not there is created: another resource may have that id, and not match.
    Raises: AmbiguousConditionError: several match; BodyError: the one that matches has another id than the body.
    """
    if len(found) > 1:
        raise AmbiguousConditionError()
    own_id: str | None = parsed.resource.id
    if found:
        if own_id is not None and own_id != found[0]:
            raise BodyError("id-match")
        return new_object(parsed, found[0], base, if_version=expected)
    if own_id is not None:
        return new_object(parsed, own_id, base, if_version=expected or 0)
    return new_object(parsed, draw_id(), base, new=True, if_version=expected)


def deleted_where(type_: str, found: Sequence[str]) -> list[NewObject]:
    """The deletion a conditional delete stores, or none.

    Raises: AmbiguousConditionError: several match.
    """
    if len(found) > 1:
        raise AmbiguousConditionError()
    return [deletion(type_, id_) for id_ in found]


def deletion(type_: str, id_: str, expected: int | None = None) -> NewObject:
    """A version that says the resource is deleted."""
    return NewObject(type_, id_, b"", [], (), if_version=expected, delete=True)
