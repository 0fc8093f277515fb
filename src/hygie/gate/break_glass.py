"""Bris de glace: a habilitated professional opens one patient's record outside his sets, for a motive and a short time.

Source: docs/adr/0027-break-glass.md.  An opening counts for requests that state the purpose ``BTG`` (HL7 v3 ActReason,
*break the glass*), so that everything else he does stays as it was, and every access under it says so.  It adds one
patient to the sets of a habilitation that he holds; it adds no action and no type.  Somebody else reviews each one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

import psycopg

from hygie.base.canonical import Field
from hygie.base.clock import Clock
from hygie.base.errors import NotFoundError
from hygie.base.naming import looks_like_ins
from hygie.base.people import is_same_person
from hygie.base.permit import PatientScope, Permit, Place
from hygie.database.pool import Database
from hygie.gate.errors import RequestOverError, RequestRefusedError, SamePersonError
from hygie.gate.requests import is_plain
from hygie.gate.rights import mac_holds, mac_over, rights_key
from hygie.gate.told_by import act_entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms
from hygie.vault.tokens import BlindIndex

PURPOSE = "BTG"
MINUTES_MAX = 60
LISTED_MAX = 500
WHY_MAX = 500
JUSTIFIED, UNJUSTIFIED = "justified", "unjustified"
PATIENT = re.compile(r"Patient/([A-Za-z0-9\-.]{1,64})", re.ASCII)
ID = re.compile(r"[0-9a-f]{16}")

# Why a record is opened, in French and English: a closed list, since a text of one's own would tell of the patient.
MOTIVES: Final[Mapping[str, tuple[str, str]]] = {
    "vital-emergency": ("urgence vitale", "vital emergency"),
    "emergency-care": ("soins urgents", "urgent care"),
    "on-call": ("garde ou astreinte : continuité des soins", "on call: continuity of care"),
    "transfer": ("transfert du patient, équipe pas encore à jour", "transfer of the patient, team not up to date yet"),
    "expert-opinion": ("avis demandé par l'équipe de soins", "opinion asked for by the care team"),
    "identity-check": ("vérification d'identité avant un acte", "check of identity before an act"),
}

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening. subject: 16 bytes that stand for the patient; verdict: of its review, nothing while it waits."""

    id: str
    account: str
    environment: bytes
    subject: bytes
    motive: str
    opened_ms: int
    ends_ms: int
    mac: bytes = field(repr=False)
    verdict: str = ""
    reviewed_by: str = ""
    reviewed_ms: int = 0
    why: str = ""
    review_mac: bytes = field(default=b"", repr=False)


_SELECT = (
    "SELECT b.id, b.account, b.environment, b.subject, b.motive, b.opened_ms, b.ends_ms, b.mac,"
    " coalesce(r.verdict, ''), coalesce(r.reviewed_by, ''), coalesce(r.reviewed_ms, 0), coalesce(r.why, ''),"
    " coalesce(r.mac, '')"
    " FROM hygie.break_glass b LEFT JOIN hygie.break_glass_review r ON r.opening = b.id"
)
_OPEN = (
    "INSERT INTO hygie.break_glass (id, account, environment, subject, motive, opened_ms, ends_ms, mac)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_REVIEW = (
    "INSERT INTO hygie.break_glass_review (opening, verdict, reviewed_by, reviewed_ms, why, mac)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)


def opened_outside(openings: Sequence[Opening], purpose: str, now_ms: int) -> PatientScope | None:
    """The patients whose records somebody opened outside his sets, for who says that he breaks the glass; else None."""
    if purpose != PURPOSE or not openings:
        return None
    live = frozenset(one.subject for one in openings if one.opened_ms <= now_ms < one.ends_ms)
    return PatientScope(subjects=live) if live else None


async def live_openings(connection: Connection, now_ms: int, key: bytes) -> list[Opening]:
    """The openings that count now, and that Hygie wrote. Args: key: of the MACs."""
    found = await connection.execute(f"{_SELECT} WHERE b.ends_ms > %s".encode(), (now_ms,))
    return [one for one in map(_opening, await found.fetchall()) if is_ours(one, key)]


async def openings_kept(connection: Connection, key: bytes) -> list[Opening]:
    """Every opening, oldest first, for who looks at whether each was reviewed; a review counts if Hygie wrote both."""
    found = await connection.execute(f"{_SELECT} ORDER BY b.opened_ms, b.id".encode())
    rows = map(_opening, await found.fetchall())
    return [one if is_ours(one, key) and _is_reviewed(one, key) else replace(one, verdict="") for one in rows]


class BreakGlass:
    """Openings and their reviews. Args: database: a pool that adds to their tables."""

    def __init__(self, database: Database, *, kms: Kms, journal: JournalWriter, clock: Clock) -> None:
        self._database = database
        self._kms = kms
        self._journal = journal
        self._clock = clock
        self._key: bytes | None = None

    async def open(self, permit: Permit, patient: str, motive: str, minutes: int) -> Opening:
        """Open one patient's record for the permit's account; it is in the journal at return, as a security event.

        Args: patient: ``Patient/ID``; whether there is one is not told.
        Raises: RequestRefusedError: not a patient, not a motive, or too long.
        """
        named = PATIENT.fullmatch(patient)
        if named is None or motive not in MOTIVES or not 0 < minutes <= MINUTES_MAX:
            raise RequestRefusedError(reason="opening")
        key, now_ms = await self._rights_key(), self._clock.now_ms()
        subject = await self._subject(permit.place, named[1])
        place, ends_ms = permit.place.environment_id, now_ms + minutes * 60_000
        made = Opening(secrets.token_hex(8), permit.account, place, subject, motive, now_ms, ends_ms, b"")
        mac = mac_over(key, *_covered(made))
        async with self._database.transaction() as connection:
            row = (made.id, made.account, place, subject, motive, now_ms, ends_ms, mac)
            await connection.execute(_OPEN, row)
            detail = {"opening": made.id, "motive": motive, "minutes": str(minutes), "patient": subject.hex()}
            await self._journal.append(
                connection, [act_entry(permit, now_ms, detail, kind="security", purpose=PURPOSE)]
            )
        return made

    async def review(self, permit: Permit, id_: str, verdict: str, *, why: str = "") -> Opening:
        """Say whether an opening of the permit's place was justified; once, and not by who opened.

        Raises: NotFoundError; SamePersonError; RequestOverError: it was reviewed; RequestRefusedError: no verdict.
        """
        if verdict not in (JUSTIFIED, UNJUSTIFIED) or len(why) > WHY_MAX or looks_like_ins(why) or not is_plain(why):
            raise RequestRefusedError(reason="review")
        key, now_ms = await self._rights_key(), self._clock.now_ms()
        async with self._database.transaction() as connection:
            found = await self._one(connection, permit.place, id_, key)
            if is_same_person(found.account, permit.account):
                raise SamePersonError()
            mac = mac_over(key, *_covered_review(found, (verdict, permit.account, now_ms, why)))
            done = await connection.execute(_REVIEW, (id_, verdict, permit.account, now_ms, why, mac))
            if done.rowcount != 1:
                raise RequestOverError()
            detail = {"opening": id_, "verdict": verdict}
            await self._journal.append(
                connection, [act_entry(permit, now_ms, detail, kind="security", purpose=PURPOSE)]
            )
        return found

    async def listing(self, place: Place) -> list[Opening]:
        """The newest openings of a place."""
        key = await self._rights_key()
        query = f"{_SELECT} WHERE b.environment = %s ORDER BY b.opened_ms DESC"  # planted ones hide none that is true
        async with self._database.transaction() as connection:
            found = await connection.execute(query.encode(), (place.environment_id,))
            ours = (one for one in map(_opening, await found.fetchall()) if is_ours(one, key))
        return [one if _is_reviewed(one, key) else replace(one, verdict="") for one in islice(ours, LISTED_MAX)]

    async def _one(self, connection: Connection, place: Place, id_: str, key: bytes) -> Opening:
        if not ID.fullmatch(id_):
            raise NotFoundError()
        found = await connection.execute(
            f"{_SELECT} WHERE b.id = %s AND b.environment = %s".encode(), (id_, place.environment_id)
        )
        row = await found.fetchone()
        one = _opening(row) if row is not None else None
        if one is None or not is_ours(one, key):
            raise NotFoundError()
        return one

    async def _subject(self, place: Place, patient: str) -> bytes:
        key = await self._kms.environment_key(place.tenant_id, place.environment_id, "id")
        return BlindIndex(id_key=key, index_key=key).subject("patient", (patient,))

    async def _rights_key(self) -> bytes:
        self._key = self._key or await rights_key(self._kms)
        return self._key


def _opening(row: Sequence[Any]) -> Opening:
    id_, account, environment, subject, *rest = row
    motive, opened_ms, ends_ms, mac, verdict, by, at_ms, why, review_mac = rest
    return Opening(
        id_, account, bytes(environment), bytes(subject), motive, opened_ms, ends_ms, mac, verdict, by, at_ms, why,
        bytes(review_mac),
    )  # fmt: skip


def is_ours(one: Opening, key: bytes) -> bool:
    """Whether Hygie wrote the opening as it is."""
    return mac_holds(one.mac, key, *_covered(one))


def _is_reviewed(one: Opening, key: bytes) -> bool:
    """Whether it has a review, which Hygie wrote: a planted one neither answers for an opening nor hides it."""
    given = (one.verdict, one.reviewed_by, one.reviewed_ms, one.why)
    return bool(one.verdict) and mac_holds(one.review_mac, key, *_covered_review(one, given))


def _covered(one: Opening) -> tuple[Field, ...]:
    where = (one.environment, one.subject)
    return ("hygie opening v1", one.id, one.account, *where, one.motive, one.opened_ms, one.ends_ms)


def _covered_review(one: Opening, given: tuple[str, str, int, str]) -> tuple[Field, ...]:
    """Args: one: an opening whose own MAC holds."""
    return ("hygie opening review v1", one.id, one.mac, *given)
