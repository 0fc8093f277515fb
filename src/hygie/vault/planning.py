"""Decide a group of writes: who conflicts, which versions come next, in which compartments.

Pure decisions over what the catalogue says under locks; nothing is sealed here, so a refusal leaves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError, InvalidRequestError, NotFoundError, RefusedError
from hygie.base.permit import SET_TYPE, Permit
from hygie.vault import catalogue
from hygie.vault.catalogue import Connection, CurrentRow
from hygie.vault.compartments import ID_BYTES, KEY_BYTES, CompartmentRow, NewCompartment
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import Item
from hygie.vault.errors import CompartmentErasedError, ObjectTooLargeError, VersionConflictError
from hygie.vault.identities import check_identities
from hygie.vault.model import (
    OBJECT_BYTES_MAX,
    REQUEST_OBJECTS_MAX,
    Condition,
    NewObject,
    Stored,
    WriteRequest,
    Written,
)
from hygie.vault.patient_sets import opened_by
from hygie.vault.planning_sets import open_objects, still_seen
from hygie.vault.reading import find_by_condition
from hygie.vault.tokens import MANY_PATIENTS_LOCK, lock_key


@dataclass(slots=True)
class PlannedVersion:
    """One version that will be stored. subject: whose compartment; compartment: set once resolved."""

    permit: Permit
    source: NewObject
    object_id: bytes
    version: int
    at_ms: int
    change: Action
    subject: bytes
    compartment: bytes = b""


@dataclass(frozen=True, slots=True)
class Told:
    """What a request learns beside what it stores.

    found: (compartment, object) of what its conditions found; absent: what it asked to delete and was not there;
    stores: whether it stores anything.
    """

    permit: Permit
    found: Sequence[tuple[bytes, Item]]
    absent: Sequence[Item]
    stores: bool


@dataclass(slots=True)
class Plan:
    """What the group will store, and what each request is answered."""

    number: int = 0
    at_ms: int = 0
    versions: list[PlannedVersion] = field(default_factory=list)
    results: list[list[Written] | HygieError] = field(default_factory=list)
    refusals: list[tuple[Permit, HygieError]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    created: list[NewCompartment] = field(default_factory=list)
    keys: dict[bytes, bytes] = field(default_factory=dict)
    replaced: set[bytes] = field(default_factory=set)


PATIENTS_LOCKED_MAX = 100  # of one object, one by one: PostgreSQL holds some thousands of locks for everybody
RESOLVED_MAX = 3  # times that conditions are resolved for one request before it is told of the conflict


@dataclass(slots=True)
class _Draft:
    """One request while it is decided. found: (compartment, object) of what its conditions found; seen: versions of the
    objects that its limited permit opens, None when it is not limited."""

    permit: Permit
    objects: list[NewObject]
    error: HygieError | None = None
    found: list[tuple[bytes, Item]] = field(default_factory=list)
    seen: Mapping[bytes, int] | None = None

    def is_stale(self, current: Mapping[bytes, CurrentRow]) -> bool:
        """Whether what a condition found, and the request changes, is not what is there now."""
        return any(key in current and current[key].version != version for _, (_, key, version) in self.found)


class Planner:
    """Plans one group. Make a new one for each group."""

    def __init__(self, context: EnvironmentContext, clock: Clock) -> None:
        self._context = context
        self._index = context.index
        self._clock = clock

    async def plan(self, connection: Connection, requests: Sequence[tuple[Permit, WriteRequest]]) -> Plan:
        """Lock, look up and decide. A refused request appears in ``results`` and ``refusals``, alone."""
        drafts = [await self._draft(connection, permit, request) for permit, request in requests]
        current = await self._locked(connection, requests, drafts)
        plan = Plan(at_ms=self._clock.now_ms())
        await self._limit(connection, drafts)
        for draft in drafts:
            self._decide(draft, plan, current)
        if plan.versions:
            await self._resolve_compartments(connection, plan)
            plan.number = await catalogue.next_pack_number(connection)
        return plan

    async def _locked(
        self, connection: Connection, requests: Sequence[tuple[Permit, WriteRequest]], drafts: list[_Draft]
    ) -> dict[bytes, CurrentRow]:
        """Current versions, under the locks of their objects.

        A condition looks before it can know what to lock; if another writer changed what it found meanwhile, the
        request is drafted again.
        """
        stale: list[int] = []
        current: dict[bytes, CurrentRow] = {}
        for _ in range(RESOLVED_MAX):
            for rank in stale:
                drafts[rank] = await self._draft(connection, *requests[rank])
            await self._lock_objects(connection, drafts)
            current = await catalogue.current_rows(connection, self._looked_up(drafts))
            stale = [rank for rank, draft in enumerate(drafts) if draft.is_stale(current)]
            if not stale:
                break
        for rank in stale:
            drafts[rank].error = VersionConflictError()
        return current

    async def _limit(self, connection: Connection, drafts: Sequence[_Draft]) -> None:
        """Keep requests of limited permits to the patients that these open, as they are under the sets' locks."""
        for draft in drafts:
            if draft.permit.patients is None or draft.error is not None:
                continue
            opened = opened_by(self._index, draft.permit.patients, self._clock.now_ms())
            assert opened is not None
            try:
                draft.seen = await open_objects(connection, self._index, opened, draft.objects)
            except HygieError as error:
                draft.error = error

    async def _draft(self, connection: Connection, permit: Permit, request: WriteRequest) -> _Draft:
        """Resolve conditions under their locks and let the caller make its objects."""
        try:
            found = await self._resolve_conditions(connection, permit, request.conditions)
            ids = {key: [stored.id for _, stored in matching] for key, matching in found.items()}
            objects = request.objects(ids) if callable(request.objects) else request.objects
            _check_limits(permit, objects)
        except HygieError as error:
            return _Draft(permit, [], error)
        pairs = dict.fromkeys(
            (row.compartment, (stored.type, row.object_id, row.version))
            for matching in found.values()
            for row, stored in matching
        )
        return _Draft(permit, objects, found=list(pairs))

    async def _resolve_conditions(
        self, connection: Connection, permit: Permit, conditions: Sequence[Condition]
    ) -> Mapping[str, Sequence[tuple[catalogue.LocatedRow, Stored]]]:
        if not conditions:
            return {}
        if not all(permit.sees(condition.type) for condition in conditions):
            raise RefusedError()
        keys = {lock_key(self._index.subject("condition", (c.type, *sorted(map(str, c.clauses))))) for c in conditions}
        await catalogue.lock(connection, sorted(keys))
        at_ms = self._clock.now_ms()
        return {c.key: await find_by_condition(connection, self._context, permit, c, at_ms=at_ms) for c in conditions}

    async def _lock_objects(self, connection: Connection, drafts: Sequence[_Draft]) -> None:
        keys: set[int] = set()
        shared: set[int] = set()  # sets of patients: nobody changes one while a write that it limits is under way
        for draft in drafts:
            if draft.permit.patients is not None:
                shared.update(lock_key(self._index.object_id(SET_TYPE, one)) for one in draft.permit.patients.sets)
            for one in draft.objects:
                if not one.new:
                    keys.add(lock_key(self._index.object_id(one.type, one.id)))
                keys.add(lock_key(self._index.owner(one.patients)[1]))
                if len(one.patients) > PATIENTS_LOCKED_MAX:
                    shared.add(MANY_PATIENTS_LOCK)
                    continue
                keys.update(lock_key(self._index.subject("patient", (patient,))) for patient in one.patients)
        if keys or shared:
            await catalogue.lock(connection, sorted(keys | shared), shared=shared - keys)

    def _looked_up(self, drafts: Sequence[_Draft]) -> list[bytes]:
        return [self._index.object_id(one.type, one.id) for draft in drafts for one in draft.objects if not one.new]

    def _decide(self, draft: _Draft, plan: Plan, current: dict[bytes, CurrentRow]) -> None:
        """Give the request its versions, or its refusal; ``current`` moves on only if it is accepted."""
        if draft.error is None:
            overlay: dict[bytes, CurrentRow] = {}
            try:
                known = current if draft.seen is None else still_seen(draft.seen, current)
                decided = [self._version(draft.permit, one, plan.at_ms, known, overlay) for one in draft.objects]
            except HygieError as error:
                draft.error = error
        if draft.error is not None:
            plan.results.append(draft.error)
            plan.refusals.append((draft.permit, draft.error))
            return
        plan.replaced.update(key for key in overlay if key in current and current[key].version)
        current.update(overlay)
        stored = [version for version, _ in decided if version is not None]
        absent = [
            (one.type, self._index.object_id(one.type, one.id), written.version)
            for one, (version, written) in zip(draft.objects, decided, strict=True)
            if version is None
        ]
        plan.versions += stored
        plan.told.append(Told(draft.permit, draft.found, absent, stores=bool(stored)))
        plan.results.append([written for _, written in decided])

    def _version(
        self,
        permit: Permit,
        one: NewObject,
        at_ms: int,
        current: Mapping[bytes, CurrentRow],
        overlay: dict[bytes, CurrentRow],
    ) -> tuple[PlannedVersion | None, Written]:
        object_id = self._index.object_id(one.type, one.id)
        if object_id in overlay:
            raise InvalidRequestError(reason="the same resource appears twice in one transaction")
        before = current.get(object_id)
        existing = before.version if before else 0
        alive = before is not None and not before.gone
        if one.if_version is not None and one.if_version != (existing if alive else 0):
            raise VersionConflictError()
        if one.delete and not alive:
            return None, Written(one.type, one.id, existing, before.at_ms if before else at_ms, created=False)
        if not alive and not one.new and permit.patients is not None:
            raise NotFoundError()  # created there, it would tell whether others have something under that id
        change = Action.OBJECT_DELETE if one.delete else Action.OBJECT_UPDATE if alive else Action.OBJECT_CREATE
        if not permit.allows(change) or not permit.reaches(change, one.type):
            raise RefusedError()
        at_ms = max(at_ms, before.at_ms) if before else at_ms
        subject = self._index.owner(one.patients)[1]
        compartment = before.compartment if before and one.delete else b""
        overlay[object_id] = CurrentRow(object_id, existing + 1, compartment, at_ms, one.delete)
        version = PlannedVersion(permit, one, object_id, existing + 1, at_ms, change, subject, compartment)
        return version, Written(one.type, one.id, existing + 1, at_ms, created=not alive)

    async def _resolve_compartments(self, connection: Connection, plan: Plan) -> None:
        """Find or create each compartment, and have its key at hand."""
        await self._keep_deleted_compartments(connection, plan)
        open_versions = [version for version in plan.versions if not version.compartment]
        subjects = {version.subject for version in open_versions}
        found = await self._context.compartments.live(connection, subjects)
        plan.created += [NewCompartment(row, [], fresh=False) for row in found.values() if row.pack == 0]
        missing: dict[bytes, PlannedVersion] = {}
        for version in open_versions:
            if version.subject not in found:
                missing.setdefault(version.subject, version)
        if missing:
            await self._create_compartments(plan, list(missing.values()))
            found.update({new.row.subject: new.row for new in plan.created if new.fresh})
        for version in open_versions:
            version.compartment = found[version.subject].compartment
            blob = version.source.blob
            if blob is not None and blob.compartment != version.compartment:
                raise CompartmentErasedError()
        rows = [row for row in found.values() if row.compartment not in plan.keys]
        permit = plan.versions[0].permit
        plan.keys.update(await self._context.compartments.keys(rows, permit_id=permit.permit_id, reason="write"))

    async def _keep_deleted_compartments(self, connection: Connection, plan: Plan) -> None:
        """A deletion stays in the compartment of the version it deletes, if that can still be opened."""
        kept = {version.compartment for version in plan.versions if version.compartment}
        if not kept:
            return
        rows = await self._context.compartments.by_id(connection, kept)
        permit = plan.versions[0].permit
        plan.keys.update(
            await self._context.compartments.keys(list(rows.values()), permit_id=permit.permit_id, reason="write")
        )
        for version in plan.versions:
            if version.compartment and version.compartment not in rows:
                version.compartment = b""

    async def _create_compartments(self, plan: Plan, firsts: Sequence[PlannedVersion]) -> None:
        fresh = [(os.urandom(ID_BYTES), os.urandom(KEY_BYTES)) for _ in firsts]
        epoch, wraps = await self._context.compartments.wrap(fresh)
        for version, (compartment, key), wrap in zip(firsts, fresh, wraps, strict=True):
            kind, subject = self._index.owner(version.source.patients)
            members = [self._index.subject("patient", (p,)) for p in sorted(set(version.source.patients))]
            row = CompartmentRow(compartment, subject, epoch, wrap, kind=kind)
            plan.created.append(NewCompartment(row, members if kind == 2 else []))
            plan.keys[compartment] = key


def _check_limits(permit: Permit, objects: Sequence[NewObject]) -> None:
    if len(objects) > REQUEST_OBJECTS_MAX:
        raise ObjectTooLargeError(limit_bytes=REQUEST_OBJECTS_MAX)
    for one in objects:
        if len(one.body) > OBJECT_BYTES_MAX:
            raise ObjectTooLargeError(limit_bytes=OBJECT_BYTES_MAX)
        check_identities(one.body, permit.place.kind)
    if not permit.place.role:
        raise RefusedError()
