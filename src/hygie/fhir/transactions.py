"""A transaction Bundle: planned outside any lock, stored whole or not at all.

Most of the work (parse, validate, extract) happens before the vault is called.  What depends on a search under lock
(conditional creates, updates, deletes and references) is left as a text to replace once the vault says what it found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final

import msgspec

from hygie.base.errors import HygieError
from hygie.fhir.bundle import EntryView
from hygie.fhir.errors import FhirStructureError
from hygie.fhir.face_errors import BodyError
from hygie.fhir.interactions import deleted_where, deletion, draw_id, new_object
from hygie.fhir.links import names_any, relinked
from hygie.fhir.queries import condition, split_reference_query
from hygie.fhir.references import conditional_references, names_drawn, rewrite, rewrite_drawn, said
from hygie.fhir.requests import FHIR_ID, PARSE_APART_FROM_BYTES, parse_parameters, version_of_etag
from hygie.fhir.search.terms import REFERENCE, SEPARATOR
from hygie.fhir.structures import parse_clean, resource_types
from hygie.vault.errors import AmbiguousConditionError, UnresolvedConditionError
from hygie.vault.model import Condition, NewObject, WriteRequest

BREATH_S: Final = 0.002  # how long one bundle may hold the loop…
TURNS: Final = 3  # …and how many turns it leaves: a read takes some eight turns, so it waits some 6 ms behind a bundle
WRITES = frozenset({"POST", "PUT", "DELETE"})


def locate(error: HygieError, index: int, part: str) -> HygieError:
    """The same error, saying which entry of the bundle it is about; a copy: a whole group of writes may share it."""
    inside = str(error.facts.get("expression") or "").partition(".")[2]
    place = f"Bundle.entry[{index}].{part}" + (f".{inside}" if inside else "")
    located = type(error).__new__(type(error), *error.args)
    located.__dict__.update(error.__dict__, facts={**error.facts, "expression": place})
    if isinstance(located, FhirStructureError):
        located.expression = place
    return located


class Breath:
    """Lets other requests run while a long bundle is worked on.

    Args: crowded: whether other environments ask too: then as much time is left to them as was taken.
    """

    def __init__(self, crowded: Callable[[], bool] = lambda: False) -> None:
        self._crowded = crowded
        self._since = perf_counter()

    async def take(self) -> None:
        """Give the loop back if it was held for 2 ms."""
        held_s = perf_counter() - self._since
        if held_s > BREATH_S:
            if self._crowded():
                await asyncio.sleep(held_s)
            for _ in range(TURNS):
                await asyncio.sleep(0)
            self._since = perf_counter()


@dataclass(slots=True)
class Target:
    """What the request of a write entry points at.

    query: of a conditional form, "" otherwise; drawn: the id is ours and new, not one a client gave.
    """

    view: EntryView
    type: str
    id: str
    query: str = ""
    drawn: bool = False

    @property
    def key(self) -> str:
        """The name of this entry's condition."""
        return f"#{self.view.index}"


@dataclass(slots=True)
class Draft:
    """A write entry before its conditions are resolved.

    one: None for deletions; open: its references wait for a condition; owned: one of these may be a patient's; linked:
    elements other than references were given an address of the bundle.
    """

    target: Target
    one: NewObject | None = None
    open: bool = False
    owned: bool = False
    linked: bool = False


@dataclass(slots=True)
class Done:
    """What became of an entry: the object stored (None: nothing had to be), or the id that was there already."""

    view: EntryView
    one: NewObject | None
    type: str
    id: str


@dataclass(slots=True)
class Transaction:
    """One transaction being made.

    base: our address of this environment; addresses: full urls of the bundle -> ``Type/id``.
    """

    base: str
    drafts: list[Draft] = field(default_factory=list)
    addresses: dict[bytes, bytes] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    searched: dict[bytes, int] = field(default_factory=dict)  # conditional reference -> first entry that holds it
    done: list[Done] = field(default_factory=list)

    async def prepare(self, entries: Sequence[EntryView], breath: Breath) -> WriteRequest:
        """Check every write entry and make the request for the vault.

        Raises: any error of one entry, located in the bundle.
        """
        targets = [self._target(view) for view in entries]
        self._check_unique(targets)
        for target in targets:
            self._address(target)
        for target in targets:
            apart = len(target.view.resource_raw) >= PARSE_APART_FROM_BYTES
            self.drafts.append(await asyncio.to_thread(self._draft, target) if apart else self._draft(target))
            await breath.take()
        self._mark_open()
        if not self.conditions:
            objects = [self._object(draft) for draft in self.drafts]
            self.done = [
                Done(d.target.view, one, one.type, one.id) for d, one in zip(self.drafts, objects, strict=True)
            ]
            return WriteRequest(objects, weight=len(objects))
        return WriteRequest(self._build, list(self.conditions.values()), weight=len(self.drafts))

    # -- outside the locks ----------------------------------------------------------------------------------------

    def _target(self, view: EntryView) -> Target:
        try:
            return target_of(view, self.base)
        except HygieError as error:
            raise locate(error, view.index, "request.url") from None

    @staticmethod
    def _check_unique(targets: Sequence[Target]) -> None:
        urls: set[str] = set()
        asked: set[tuple[str, object]] = set()
        for target in targets:
            view = target.view
            if view.full_url and view.method != "DELETE":
                if view.full_url in urls:
                    raise locate(BodyError("full-url-twice"), view.index, "fullUrl")
                urls.add(view.full_url)
            if target.query:
                try:
                    same = (target.type, tuple(sorted(parse_parameters(target.query))))
                    if same in asked:
                        raise BodyError("condition-twice")
                except HygieError as error:
                    raise locate(error, view.index, "request") from None
                asked.add(same)

    def _address(self, target: Target) -> None:
        """Note what the entry's full url will stand for, and its condition."""
        view = target.view
        if target.query:
            try:
                self.conditions[target.key] = condition(target.key, target.type, target.query, self.base)
            except HygieError as error:
                raise locate(error, view.index, "request") from None
        if view.method == "DELETE" or not view.full_url:
            return
        if '"' in view.full_url or "\\" in view.full_url:
            raise locate(BodyError("full-url"), view.index, "fullUrl")
        self.addresses[view.full_url.encode()] = f"{target.type}/{target.id}".encode()

    def _draft(self, target: Target) -> Draft:
        view = target.view
        if view.method == "DELETE":
            return Draft(target)
        try:
            if not view.resource_raw:
                raise BodyError("no-resource")
            parsed = parse_clean(rewrite(view.resource_raw, self.addresses), expected=target.type)
            again = relinked(parsed, self.addresses) if names_any(parsed.encoded, self.addresses) else None
            parsed = again or parsed
            if view.method == "PUT" and not target.query and parsed.resource.id != target.id:
                raise BodyError("id-address")
            version = _expected_version(view)
            one = new_object(parsed, target.id, self.base, new=target.drawn, if_version=version)
            draft = Draft(target, one, linked=again is not None)
            self._note_searched(draft)
        except HygieError as error:
            raise locate(error, view.index, "resource") from None
        return draft

    def _note_searched(self, draft: Draft) -> None:
        assert draft.one is not None
        for text in conditional_references(draft.one.body):
            key = said(text)
            pair = split_reference_query(key)
            if pair is None:
                continue
            draft.open = True
            draft.owned = draft.owned or pair[0] == "Patient"
            if text not in self.searched:
                self.searched[text] = draft.target.view.index
                self.conditions[key] = condition(key, pair[0], pair[1], self.base)

    def _mark_open(self) -> None:
        """Entries that refer to one whose id a condition may change wait for it too."""
        waiting = {
            f"{d.target.type}/{d.target.id}".encode(): d.target.type
            for d in self.drafts
            if d.target.query and d.target.drawn and d.target.view.method != "DELETE"
        }
        if not waiting:
            return
        patients = "Patient" in waiting.values()
        for draft in self.drafts:
            if draft.one is None:
                continue
            if names_drawn(draft.one.body, waiting):
                draft.open = True
                draft.owned = draft.owned or patients or draft.linked

    # -- under the vault's locks ----------------------------------------------------------------------------------

    def _build(self, found: Mapping[str, Sequence[str]]) -> list[NewObject]:
        """The objects, once conditions are resolved. Runs again from the start if the vault tries again."""
        self.done = []
        addresses = self._searched_addresses(found)
        plans: list[tuple[Draft, str | None]] = []
        for draft in self.drafts:
            there = self._found_one(draft, found)
            if there is not None and draft.target.view.method != "DELETE":
                target = draft.target
                addresses[f"{target.type}/{target.id}".encode()] = f"{target.type}/{there}".encode()
            plans.append((draft, there))
        objects: list[NewObject] = []
        for draft, there in plans:
            try:
                one = self._resolved(draft, there, addresses)
            except HygieError as error:
                raise locate(error, draft.target.view.index, "resource") from None
            if one is not None:
                objects.append(one)
            self.done.append(Done(draft.target.view, one, draft.target.type, one.id if one else there or ""))
        return objects

    def _searched_addresses(self, found: Mapping[str, Sequence[str]]) -> dict[bytes, bytes]:
        addresses: dict[bytes, bytes] = {}
        for text, index in self.searched.items():
            ids = found[said(text)]
            if len(ids) != 1:
                error = AmbiguousConditionError() if ids else UnresolvedConditionError()
                raise locate(error, index, "resource")
            addresses[text] = b"%s/%s" % (text.partition(b"?")[0], ids[0].encode())
        return addresses

    @staticmethod
    def _found_one(draft: Draft, found: Mapping[str, Sequence[str]]) -> str | None:
        """The id that answers the entry's own condition, if there is one."""
        target = draft.target
        if not target.query:
            return None
        ids = found[target.key]
        if len(ids) > 1:
            raise locate(AmbiguousConditionError(), target.view.index, "request")
        return ids[0] if ids else None

    def _object(self, draft: Draft) -> NewObject:
        """The object of an entry that waits for nothing."""
        if draft.one is not None:
            return draft.one
        target = draft.target
        return deletion(target.type, target.id, version_of_etag(target.view.if_match.encode() or None))

    def _resolved(self, draft: Draft, there: str | None, addresses: Mapping[bytes, bytes]) -> NewObject | None:
        target, method = draft.target, draft.target.view.method
        if method == "DELETE":
            if target.query:
                return next(iter(deleted_where(target.type, [there] if there else [])), None)
            return self._object(draft)
        if method == "POST" and there is not None:
            return None  # a conditional create that found its resource stores nothing
        one = draft.one
        assert one is not None
        if target.query and there is None and not target.drawn and one.if_version is None:
            one = replace(one, if_version=0)  # the client's id may be another resource's, which did not match
        id_ = there or target.id
        if id_ != target.id and not target.drawn:
            raise BodyError("id-match")
        if draft.owned or id_ != one.id:
            parsed = parse_clean(rewrite_drawn(one.body, addresses), expected=target.type)
            return new_object(parsed, id_, self.base, new=target.drawn and there is None, if_version=one.if_version)
        if not draft.open:
            return one
        body = rewrite_drawn(one.body, addresses)
        return replace(one, body=body, terms=_new_terms(one.terms, addresses))


def _new_terms(terms: Sequence[str], addresses: Mapping[bytes, bytes]) -> list[str]:
    """Reference terms end with the reference as written: replaced as in the text."""
    texts = {said(old): new.decode() for old, new in addresses.items()}
    made: list[str] = []
    for term in terms:
        slot, separator, value = term.partition(SEPARATOR)
        new = texts.get(value[1:]) if value[:1] == REFERENCE else None
        made.append(term if new is None else f"{slot}{separator}{REFERENCE}{new}")
    return made


def _expected_version(view: EntryView) -> int | None:
    if view.if_none_match.strip() == "*":
        return 0
    return version_of_etag(view.if_match.encode() or None)


def target_of(view: EntryView, base: str) -> Target:
    """What a write entry's request points at.

    Raises: BodyError: no such form of url for its method.
    """
    url = view.url.removeprefix(f"{base}/")
    path, _, query = url.partition("?")
    type_, mark, id_ = path.partition("/")
    if type_ not in resource_types():
        raise BodyError("url-type")
    if view.method == "POST":
        if mark or query:
            raise BodyError("post-url")
        return Target(view, type_, draw_id(), view.if_none_exist.lstrip("?"), drawn=True)
    if mark:
        if query or not FHIR_ID.fullmatch(id_):
            raise BodyError("url")
        return Target(view, type_, id_)
    if not query:
        raise BodyError("url-no-id")
    own_id = _own_id(view) if view.method == "PUT" else None
    return Target(view, type_, own_id or draw_id(), query, drawn=own_id is None)


class _Own(msgspec.Struct):
    id: str | None = None


_own = msgspec.json.Decoder(_Own)


def _own_id(view: EntryView) -> str | None:
    """The id a client gave in the resource itself; what is wrong with the resource is said when it is parsed."""
    try:
        own_id = _own.decode(view.resource_raw).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return own_id if own_id is not None and FHIR_ID.fullmatch(own_id) else None
