"""Sessions on machines, taken from where sudo and sshd leave them: matched, sealed, recorded, journaled, shown.

Order: the entries are durable, then the sealed recording and its record, then the folder goes. A turn that is cut does
the same again: a session's name is made of its content, and what has its record was told. What cannot be taken in is
left where it is, and recorded as unmatched: nothing passes unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hygie.app import House
from hygie.backups.run import measure
from hygie.base.actions import Action
from hygie.base.clock import iso_ms, month_of
from hygie.base.errors import HygieError
from hygie.base.naming import looks_like_ins
from hygie.database.pool import Database
from hygie.interventions.errors import LogUnreadableError, RecordingDamagedError
from hygie.interventions.iolog import Header, Recording, TooLargeError, Waiting, read_header, read_recording, waiting
from hygie.interventions.login_log import LoginLog
from hygie.interventions.matching import (
    LIFE_MS,
    TOUCH_MS,
    Allowed,
    Believed,
    Certificate,
    Match,
    judge_login,
    kind_of,
    match,
    unrecorded,
)
from hygie.interventions.naming import digest_of, short_name
from hygie.interventions.pseudonyms import pseudonym, pseudonym_key, role_of
from hygie.interventions.sealed import meaning_of, seal_recording
from hygie.interventions.sshd_log import Login
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.leaf import month_at
from hygie.journal.writer import JournalWriter
from hygie.machines import authority_prints, certificates_given, tenant_id_of
from hygie.perimeter import Known
from hygie.proof.interventions import INTERVENTION, NotGrantedError, People, granted
from hygie.proving import ProofPlane, with_proof
from hygie.registers.chain import RecordVersion
from hygie.registers.engine import DOCUMENT_BYTES_MAX
from hygie.registers.errors import RegisterNotFoundError
from hygie.registers.rules import Change

REGISTER = "recorded-session"
MEASUREMENT = "sessions"
MEDIA_TYPE = "application/vnd.hygie.sealed-session"
SESSIONS_EVERY_S = 10.0  # between the end of a session and its entry
TURN_MAX = 200  # recordings of one turn; the others wait for the next
FOLDERS_MAX = 20_000  # of a spool: some months of refused ones, which people have left there
ABANDONED_MS = 2 * 3_600_000  # a recording without an end: its machine was cut; a certificate lives an hour
LATE_MS = 60_000  # a login has its recording, begun at least, within a second

log = logging.getLogger("hygie.recordings")


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is to be recorded. key: of its record; recording: None when there is none to seal; folder: where
    it waits; waiting: a name of that folder as it is now."""

    key: str
    kind: str
    account: str
    started_ms: int
    found: Match
    header: Header | None = None
    recording: Recording | None = None
    folder: str = ""
    waiting: str = ""

    @property
    def tenant(self) -> str:
        """The client it was for, also when something of it is wrong; empty for the host itself, or for nobody known."""
        return self.found.allowed.tenant if self.found.allowed else ""


@dataclass(slots=True)
class _Known:
    """What registers say at one turn. sessions: keys recorded before; logins: of SSH sessions recorded before."""

    allowed: dict[str, Allowed] = field(default_factory=dict)
    duties: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    logins: set[str] = field(default_factory=set)


class SessionKeeper:
    """Takes sessions in. Args: records: opened as the sealer; pool: as the hosting role, for the journal."""

    def __init__(self, house: House, records: Database, pool: Database, operator: str) -> None:
        self._house = house
        self._records = records
        self._journal = JournalWriter(pool, house.month_keys, house.clock)
        self._operator = operator
        set_ = house.settings.interventions
        self._told: set[str] = set()  # sessions that have their entries; their records may be to come
        self._left: set[str] = set()  # folders that were taken in and could not be removed
        self._known = _Known()
        self._certificates: dict[str, Certificate] = {}
        self._spool = house.folder.resolve(set_.recordings) if set_.recordings else None
        self._log = LoginLog(house.folder.resolve(set_.logins)) if set_.logins else None

    async def run(self) -> list[str]:
        """One turn, measured. Returns keys of the sessions recorded.

        Raises: HygieError, OSError: the next turn does it again.
        """
        if self._spool is None or self._log is None:
            return []
        facts: dict[str, Any] = {}
        try:
            done = await self._turn(self._spool, self._log)
            facts["recorded"] = len(done)
        except (HygieError, OSError) as error:
            facts["code"] = error.code if isinstance(error, HygieError) else LogUnreadableError.code
            raise
        finally:
            now_ms = self._house.clock.now_ms()
            await measure(self._records, now_ms, MEASUREMENT, passed="recorded" in facts, facts=facts)
        return done

    async def _turn(self, spool: Path, sshd: LoginLog) -> list[str]:
        now_ms = self._house.clock.now_ms()
        await asyncio.to_thread(sshd.follow, now_ms)
        try:
            folders = await asyncio.to_thread(waiting, spool, at_most=FOLDERS_MAX)
        except OSError as error:
            raise LogUnreadableError(reason=error.strerror or "spool") from error
        over, lasting, there = await asyncio.to_thread(self._sorted, spool, folders, now_ms)
        alone = [one for one in unrecorded(sshd.known, there, before_ms=now_ms - LATE_MS) if self._is_new(one)]
        if not over and not lasting and not alone:  # nearly always: registers are not read for nothing
            return []
        known = self._known = await with_proof(self._house, self._operator, _look)
        believed = await self._believed(known, sshd.known)
        done: list[str] = []
        for folder in over:
            session = await asyncio.to_thread(_session_of, spool, folder, sshd.known, believed)
            there += [session.header] if session.header else []
            done += await self._keep(session, known, spool)
        for folder, header in lasting:
            done += await self._keep(_lasting(folder, header, now_ms, sshd.known, believed), known, spool)
        for login in unrecorded(sshd.known, there, before_ms=now_ms - LATE_MS):
            if self._is_new(login):
                done += await self._keep(_of_login(login, believed), known, spool)
        return done

    async def _believed(self, known: _Known, logins_: Sequence[Login]) -> Believed:
        """What sessions are held to now. The journal is read again only for a certificate that was not met before."""
        prints = await authority_prints(self._house)
        new = [one for one in logins_ if one.authority in prints and one.serial not in self._certificates]
        months = {month_of(one.at_ms + shift_ms) for one in new for shift_ms in (-LIFE_MS - TOUCH_MS, TOUCH_MS)}
        if months:
            self._certificates |= await certificates_given(self._house, self._records, months)
        return Believed(known.allowed, self._certificates, prints)

    def _sorted(
        self, spool: Path, folders: Sequence[Waiting], now_ms: int
    ) -> tuple[list[Waiting], list[tuple[Waiting, Header]], list[Header]]:
        """Recordings to take in at this turn; those under way for longer than any certificate, which are named at once
        whenever they may end; the headers of all others."""
        over: list[Waiting] = []
        lasting: list[tuple[Waiting, Header]] = []
        others: list[Header] = []
        for one in folders:
            ended = one.finished or one.changed_ms < now_ms - ABANDONED_MS
            key = _refused_key(one)
            if ended and key not in self._left and key not in self._known.sessions and len(over) < TURN_MAX:
                over.append(one)
                continue
            with contextlib.suppress(HygieError, OSError):
                header = read_header(spool, one.name)
                others.append(header)
                late = not ended and header.started_ms < now_ms - LIFE_MS - TOUCH_MS
                if late and _lasting_key(one) not in self._known.sessions and len(lasting) < TURN_MAX:
                    lasting.append((one, header))
        return over, lasting, others

    def _is_new(self, login: Login) -> bool:
        return login.name not in self._known.logins

    async def _keep(self, session: Session, known: _Known, spool: Path) -> list[str]:
        """Tell one session, record it, remove its folder. Returns its key, when it is new."""
        new = session.key not in known.sessions
        sha256 = digest_of(session.recording.archive) if session.recording else ""
        if new and session.key not in self._told:  # once, however often its record is refused
            await self._tell(session, known, sha256)
            self._told.add(session.key)
        if new:
            await self._record(session, sha256)
        if session.recording is not None:
            try:
                await asyncio.to_thread(_remove, spool / session.folder)
            except OSError as error:  # it was taken in: others must not wait behind it
                log.warning("sessions: a folder stays, %s", error.strerror)
                self._left.add(session.waiting)
        known.sessions.add(session.key)
        if session.kind == "ssh" and session.found.login is not None:
            known.logins.add(session.found.login.name)
        return [session.key] if new else []

    async def _record(self, session: Session, sha256: str) -> None:
        sealed, sealed_in = b"", ""
        if session.recording is not None:
            kind, month = _kind(session), month_at(self._house.clock.now_ms())
            tenant_id = await self._tenant_id(session)
            key = await self._house.month_keys.month_key(tenant_id, kind, month)
            meaning = meaning_of(tenant_id, kind, month, session.key)
            archive = session.recording.archive
            sealed = await asyncio.to_thread(seal_recording, archive, month_key=key, meaning=meaning)
            sealed_in = f"{kind} {month}"
        size = len(session.recording.archive) if session.recording else None
        fields = _fields(session) | {"sha256": sha256 or None, "sealed_in": sealed_in or None, "bytes": size}

        def write(plane: ProofPlane) -> None:
            with contextlib.suppress(RegisterNotFoundError):
                plane.registers.get(REGISTER, session.key)
                return  # another process of this machine took it in meanwhile
            if sealed:
                name = f"{session.key}.sealed"
                fields["recording"] = plane.registers.put_document(name, MEDIA_TYPE, sealed)
            state = "unmatched" if session.found.wrong else "matched"
            change = Change(REGISTER, fields, session.key, state, session.tenant, reason="hygie work")
            plane.registers.write([change])

        await with_proof(self._house, self._operator, write)

    async def _tell(self, session: Session, known: _Known, sha256: str) -> None:
        """Its entries: the host's, by account; the client's, by role and pseudonym."""
        one, login = session.found.allowed, session.found.login
        detail = {"session": session.key, "kind": session.kind, "started": iso_ms(session.started_ms)}
        if session.recording is not None:
            detail |= {"ended": iso_ms(session.recording.ended_ms), "sha256": sha256}
        if session.found.wrong:
            detail["wrong"] = session.found.wrong
        own = detail | ({"serial": login.serial} if login and login.serial else {})
        host = (session.header.host if session.header else login.host if login else "")[:64]
        sides = [(PLATFORM, session.account, own, login.address if login else "")]
        tenant_id = await self._tenant_id(session)
        if one is not None and tenant_id != PLATFORM:
            who = pseudonym(await pseudonym_key(self._house.kms), tenant_id, session.account)
            sides.append((tenant_id, who, detail | {"role": role_of(known.duties.get(one.person, ()))}, ""))
        now_ms = self._house.clock.now_ms()
        await self._journal.append_now(
            [
                Entry(
                    action=Action.INTERVENTION_RECORD,
                    outcome="unknown" if session.found.wrong else "done",
                    kind=_kind(session),
                    at_ms=now_ms,
                    tenant_id=side,
                    account=account,
                    address=address,
                    device=host,
                    purpose=one.key if one else "",
                    detail=said,
                )
                for side, account, said, address in sides
            ]
        )

    async def _tenant_id(self, session: Session) -> bytes:
        found = await tenant_id_of(self._records, session.tenant) if session.tenant else None
        return found or PLATFORM


def _look(plane: ProofPlane) -> _Known:
    known = Known(plane.registers)
    people = People.of(plane.registers.versions("person"))
    found = _Known(duties={one.key: tuple(map(str, one.fields.get("duties", ()))) for one in people.newest})
    histories: dict[str, list[RecordVersion]] = {}
    for version in plane.registers.versions(INTERVENTION):
        histories.setdefault(version.key, []).append(version)
    for history in histories.values():
        with contextlib.suppress(NotGrantedError):
            one = granted(history, people)
            ends_ms = min(one.ends_ms, one.over_ms or one.ends_ms)
            found.allowed[one.key] = Allowed(one.key, one.tenant, one.person, one.account, one.begins_ms, ends_ms)
    for record in known.of(REGISTER):
        found.sessions.add(record.key)
        if record.fields["kind"] == "ssh" and record.fields.get("login"):
            found.logins.add(str(record.fields["login"]))
    return found


def _session_of(spool: Path, one: Waiting, known: Sequence[Login], believed: Believed) -> Session:
    """A finished folder as a session. What is damaged or too large has its header at best."""
    try:
        recording = read_recording(spool, one.name)
        if len(recording.archive) > DOCUMENT_BYTES_MAX:
            raise TooLargeError(reason="archive")
    except (RecordingDamagedError, OSError) as error:
        wrong = "too-large" if isinstance(error, TooLargeError) else "damaged"
        try:
            header = read_header(spool, one.name)
        except (HygieError, OSError):
            return Session(_refused_key(one), "sudo", "-", one.changed_ms, Match(None, None, wrong))
        found = replace(match(header, header.started_ms, known, believed), wrong=wrong)
        return Session(_refused_key(one), kind_of(header), header.account, header.started_ms, found, header)
    header = recording.header
    found = match(header, recording.ended_ms, known, believed)
    key = f"SES-{short_name(recording.archive)}"
    told = (kind_of(header), header.account, header.started_ms)
    return Session(key, *told, found, header, recording, one.name, _refused_key(one))


def _lasting(one: Waiting, header: Header, now_ms: int, known: Sequence[Login], believed: Believed) -> Session:
    """A recording that is under way when its certificate must have ended; its end is recorded again, by what it is."""
    found = match(header, now_ms, known, believed)
    found = replace(found, wrong=found.wrong or "out-of-window")
    return Session(_lasting_key(one), kind_of(header), header.account, header.started_ms, found, header)


def _lasting_key(one: Waiting) -> str:
    return f"SES-{short_name(f'{one.name} under way'.encode())}"


def _of_login(login: Login, believed: Believed) -> Session:
    """A login that nothing recorded."""
    wrong, one = judge_login(login, believed)
    return Session(f"SES-{login.name}", "ssh", login.account, login.at_ms, Match(one, login, wrong or "no-recording"))


def _refused_key(one: Waiting) -> str:
    return f"SES-{short_name(f'{one.name} {one.changed_ms}'.encode())}"


def _kind(session: Session) -> str:
    """The journal's class: of accesses, or of what security must look at."""
    return "security" if session.found.wrong else "access"


def _fields(session: Session) -> dict[str, object]:
    """The record of a session, without its recording."""
    login, one, header = session.found.login, session.found.allowed, session.header
    ended_ms = session.recording.ended_ms if session.recording else None
    host = header.host if header else login.host if login else ""
    account = _clean(session.account, 40) or "-"
    return {
        "title": f"{session.kind}, {account}, {iso_ms(session.started_ms)[:16]}",
        "kind": session.kind,
        "account": account,
        "run_as": _clean(header.run_as, 40) if header else None,
        "host": _clean(host, 64),
        "address": _clean(login.address, 64) if login else None,
        "operator": one.person if one else None,
        "intervention": one.key if one else None,
        "serial": _clean(login.serial, 24) if login else None,
        "login": login.name if login else None,
        "started_at": _instant(session.started_ms),
        "ended_at": _instant(ended_ms) if ended_ms else None,
        "wrong": session.found.wrong or None,
    }


def _clean(text: str, characters: int) -> str | None:
    """A name for a register; None when it is too long or reads as a patient's number."""
    return text if 0 < len(text) <= characters and not looks_like_ins(text) else None


def _instant(at_ms: int) -> str:
    return f"{iso_ms(at_ms)[:19]}Z"


def _remove(folder: Path) -> None:
    """Remove a folder of the spool that was taken in, without following anything."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for name in os.listdir(descriptor):  # noqa: PTH208 (of a descriptor: the path may be another one by now)
                os.unlink(name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        folder.rmdir()
