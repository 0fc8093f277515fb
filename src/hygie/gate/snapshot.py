"""What the gate knows of tenants, tokens and habilitations, in memory, with the number that tells when it is stale.

Only rows whose MAC holds count: what somebody wrote in the tables by SQL is passed over, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from hygie.base.actions import Action
from hygie.base.identifiers import bare_number
from hygie.base.permit import PatientScope, Place
from hygie.base.roles import ACTIONS_OF_ROLE, OF_RIGHTS, Role
from hygie.base.words import words_of
from hygie.gate.allowances import Allowances, allowances_of
from hygie.gate.authenticators import PASSWORD, TOTP, Authenticator, authenticator_of
from hygie.gate.break_glass import Opening, live_openings
from hygie.gate.clients import ClientKey
from hygie.gate.everywhere import EVERYWHERE, HOST_PLACE, HOST_TENANT
from hygie.gate.narrowing import Limits
from hygie.gate.place import Geography, geography_of
from hygie.gate.rights import Right, is_ours, live_rights
from hygie.gate.scopes import Reach, granted, reach_of
from hygie.gate.sessions import Session

Connection = psycopg.AsyncConnection[Any]


# Asked for and answered by a person who answers for the environment: no object says which patients it is about.
_OF_THE_WHOLE = frozenset(
    {
        Action.ERASURE_APPROVE,
        Action.EXPORT_APPROVE,
        Action.HABILITATION_APPROVE,
        Action.HABILITATION_REVIEW,
        Action.OBJECT_COPY,
        Action.OBJECT_EXPORT,
        Action.PATIENT_ERASE,
    }
)


@dataclass(frozen=True, slots=True)
class Habilitation:
    """One grant: what may be done, from when, until when.

    types, purposes: of resources, of use; all when empty; patients: whose records, all when None.
    """

    id: str
    role: Role
    types: frozenset[str]
    starts_ms: int
    ends_ms: int
    patients: PatientScope | None = None
    purposes: frozenset[str] = frozenset()

    @property
    def actions(self) -> frozenset[Action]:
        """All that its role gives."""
        return ACTIONS_OF_ROLE[self.role]

    @property
    def rights(self) -> frozenset[Action]:
        """What of it is done at the door of rights, or elsewhere but on health data."""
        return frozenset(action for action in self.actions if not action.startswith("object:"))

    def gives(self, actions: frozenset[Action]) -> bool:
        """Whether it gives all of these: what takes or destroys of a whole environment is not given by one that is
        limited to some of it."""
        is_limited = self.types or self.purposes or self.patients is not None
        return actions <= self.actions and not (is_limited and actions & _OF_THE_WHOLE)

    def is_live(self, now_ms: int) -> bool:
        """Whether it counts at this instant."""
        return self.starts_ms <= now_ms < self.ends_ms

    def serves(self, purpose: str) -> bool:
        """Whether it counts for who states this purpose of use."""
        return not self.purposes or purpose in self.purposes


STORED = "token"  # how a bearer of a stored token is said to have proved himself: whoever made it could
_BY_NUMBER = "number:"  # no authenticator's id holds a colon


def proof_by_number(number: str) -> str:
    """What stands for an authenticator when an identity provider vouched for a professional's number. number: bare."""
    return _BY_NUMBER + number


@dataclass(frozen=True, slots=True)
class Account:
    """One open account, with what it holds by environment and what it may prove itself with: an application its keys,
    a person his authenticators. tenant_id: whose person or program it is, nothing for the host's own; openings: records
    it opened outside its sets, by environment."""

    id: str
    kind: str
    professional_id: str
    ends_ms: int
    habilitations: Mapping[bytes, tuple[Habilitation, ...]]
    keys: tuple[ClientKey, ...]
    authenticators: tuple[Authenticator, ...] = ()
    tenant_id: bytes = b""
    openings: Mapping[bytes, tuple[Opening, ...]] = field(default_factory=dict)
    label: str = ""

    @property
    def kin(self) -> frozenset[str]:
        """Folded words of a person's name, as the account is labelled."""
        return words_of(self.label) if self.kind == "person" else frozenset()

    def proof_ends_ms(self, id_: str) -> int | None:
        """When what proved a session stops counting, UTC; None: it was withdrawn. A password counts with a live TOTP
        secret only; a number that an identity provider vouched for, as long as the account has it."""
        if id_.startswith(_BY_NUMBER):
            mine = bool(self.professional_id) and id_ == proof_by_number(bare_number(self.professional_id))
            return self.ends_ms if mine else None
        found = [one.ends_ms for one in self.keys if one.id == id_]
        seconds = [one.ends_ms for one in self.authenticators if one.kind == TOTP]
        for one in self.authenticators:
            if one.id == id_ and one.opens_sessions and (one.kind != PASSWORD or seconds):
                found.append(min(one.ends_ms, max(seconds)) if one.kind == PASSWORD else one.ends_ms)
        return min(found, default=None)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom one token stands for. authentication: how it was proved; expires_ms: the earliest end of what it rests on,
    when it is looked up again; scopes: those of the token; reach: what they open, None without; session: its id, or
    nothing; binding: SHA-256 of the certificate that must present it, or nothing; application: through which a person
    acts, or nothing; kin: folded words of a person's name."""

    account: str
    professional_id: str
    place: Place
    expires_ms: int
    habilitations: tuple[Habilitation, ...]
    authentication: str = STORED
    scopes: tuple[str, ...] = ()
    reach: Reach | None = None
    session: bytes = b""
    binding: bytes = b""
    openings: tuple[Opening, ...] = ()
    application: str = ""
    kin: frozenset[str] = frozenset()

    @property
    def held_by(self) -> str:
        """The account that the token was given to."""
        return self.application or self.account


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Open accounts, live tokens by hash, open environments by name, sessions ended early, the instants before which
    people ended all of theirs, at one generation.

    forged: live rows that Hygie did not write as they are; they give nothing; allowances: limits that were set;
    geography: networks and countries that were declared; closed: whose each stored token was that is live by itself,
    and whose account is not open any more.
    """

    generation: int
    accounts: Mapping[str, Account] = field(default_factory=dict)
    bearers: Mapping[bytes, Bearer] = field(default_factory=dict)
    places: Mapping[tuple[str, str], Place] = field(default_factory=dict)
    ended: frozenset[bytes] = frozenset()
    cuts: Mapping[str, int] = field(default_factory=dict)
    forged: tuple[Right, ...] = ()
    allowances: Allowances = field(default_factory=dict)
    geography: Geography = field(default_factory=Geography)
    closed: Mapping[bytes, str] = field(default_factory=dict)

    def bearer_of(self, session: Session, now_ms: int) -> Bearer | None:
        """Whom an access token stands for; None: its account or environment is not open, the key or the authenticator
        that proved the account was withdrawn, or the session was ended."""
        account = self.accounts.get(session.account)
        place = self.place_with(session.environment_id)
        if account is None or place is None or place.tenant_id != session.tenant_id or session.id in self.ended:
            return None
        proof_ends_ms = account.proof_ends_ms(session.key)
        if proof_ends_ms is None:
            return None
        bearer = Bearer(
            account=account.id,
            professional_id=account.professional_id,
            place=place,
            expires_ms=min(session.expires_ms, account.ends_ms, proof_ends_ms),
            habilitations=account.habilitations.get(place.environment_id, ()),
            authentication=session.authentication,
            scopes=session.scopes,
            reach=reach_of(session.scopes),
            session=session.id,
            binding=session.binding,
            openings=account.openings.get(place.environment_id, ()),
            kin=account.kin,
        )
        return self._through(bearer, session, now_ms) if session.application else bearer

    def _through(self, bearer: Bearer, session: Session, now_ms: int) -> Bearer | None:
        """A person's session: nothing once its application is closed, has no right left there or lost the address that
        it was given at, or once the person ended all of them; and never more than the application may have itself."""
        application = self.accounts.get(session.application)
        if application is None or session.proven_ms < self.cuts.get(session.account, 0):
            return None
        redirect = next((one for one in application.keys if one.id == session.redirect), None)
        lent = lent_by(application, bearer.place, now_ms)
        scopes = through(session.scopes, lent)
        if redirect is None or not scopes:
            return None
        # It ends with the first of the application's habilitations that it rests on: what is left is less.
        ends_ms = min(one.ends_ms for one in lent if through(scopes, [one]))
        return replace(
            bearer,
            expires_ms=min(bearer.expires_ms, application.ends_ms, redirect.ends_ms, ends_ms),
            scopes=scopes,
            reach=reach_of(scopes, frozenset[Action]().union(*(one.rights for one in lent if _decides(one)))),
            application=session.application,
        )

    def place_with(self, environment_id: bytes) -> Place | None:
        """The open environment of this id."""
        return next((one for one in self.places.values() if one.environment_id == environment_id), None)


def lent_by(application: Account, place: Place, now_ms: int) -> list[Habilitation]:
    """The application's live habilitations through which a person acts there.

    Not those that are limited to patients or purposes: a permit has one limit of each, the person's own, and the
    application's would be forgotten.
    """
    held = application.habilitations.get(place.environment_id, ())
    return [one for one in held if one.is_live(now_ms) and one.patients is None and not one.purposes]


def through(scopes: Iterable[str], lent: Iterable[Habilitation]) -> tuple[str, ...]:
    """What of the scopes an application's habilitations bear out."""
    return _borne_out(scopes, ((one, _decides(one)) for one in lent))


def held_of(scopes: Iterable[str], held: Iterable[Habilitation]) -> tuple[str, ...]:
    """What of the scopes a person's habilitations bear out."""
    return _borne_out(scopes, ((one, bool(one.rights)) for one in held))


def _borne_out(scopes: Iterable[str], held: Iterable[tuple[Habilitation, bool]]) -> tuple[str, ...]:
    asked = tuple(scopes)
    found = (one for each, rights in held for one in granted(asked, each.actions, each.types, rights=rights))
    return tuple(dict.fromkeys(found))


def _decides(one: Habilitation) -> bool:
    """Whether a person decides on rights through who holds it: an application that shows records is not for that."""
    return one.role in OF_RIGHTS


GENERATION = "SELECT value FROM hygie.gate_generation"  # the number that every change of rights raises
_PLACES = (
    "SELECT t.name, e.name, e.tenant, e.id, e.role, e.kind FROM hygie.environment e"
    " JOIN hygie.tenant t ON t.id = e.tenant"
    " WHERE e.state = 'open'"
)
_CUTS = "SELECT account, max(before_ms) FROM hygie.session_cut WHERE until_ms > %s GROUP BY account"
_ENDED = "SELECT id FROM hygie.session_end WHERE until_ms > %s"


async def load_snapshot(connection: Connection, now_ms: int, key: bytes) -> Snapshot:
    """Read everything that is live.

    The generation is read first: a change that lands in between makes the snapshot stale, never wrongly fresh.

    Args: key: of the MACs of the rows.
    """
    row = await (await connection.execute(GENERATION)).fetchone()
    assert row is not None
    generation = int(row[0])
    places = {(row[0], row[1]): Place(*row[2:]) for row in await (await connection.execute(_PLACES)).fetchall()}
    places[HOST_TENANT, HOST_PLACE] = EVERYWHERE
    rights = await live_rights(connection, now_ms)
    ours: list[Right] = []
    forged: list[Right] = []
    for right in rights:
        (ours if is_ours(right, key) else forged).append(right)
    accounts = _accounts(ours, await live_openings(connection, now_ms, key))
    ended = frozenset(row[0] for row in await (await connection.execute(_ENDED, (now_ms,))).fetchall())
    bearers = _bearers(ours, accounts, places)
    cuts = {row[0]: row[1] for row in await (await connection.execute(_CUTS, (now_ms,))).fetchall()}
    allowances, geography = allowances_of(ours), geography_of(ours, forged)
    tokens = (right.values for right in ours if right.table == "token")
    closed = {one["hash"]: str(one["account"]) for one in tokens if one["account"] not in accounts}
    return Snapshot(generation, accounts, bearers, places, ended, cuts, tuple(forged), allowances, geography, closed)


def _accounts(rights: Sequence[Right], openings: Sequence[Opening]) -> dict[str, Account]:
    """Open accounts with what they hold."""
    opened: dict[str, dict[bytes, tuple[Opening, ...]]] = {}
    for opening in openings:
        theirs = opened.setdefault(opening.account, {})
        theirs[opening.environment] = (*theirs.get(opening.environment, ()), opening)
    granted: dict[str, dict[bytes, tuple[Habilitation, ...]]] = {}
    keys: dict[str, tuple[ClientKey, ...]] = {}
    proofs: dict[str, tuple[Authenticator, ...]] = {}
    for right in rights:
        one = right.values
        if right.table == "habilitation":
            limits = Limits.of_row(one)
            made = Habilitation(
                one["id"],
                Role(one["role"]),
                limits.types,
                one["starts_ms"],
                one["ends_ms"],
                limits.scope,
                limits.purposes,
            )
            held = granted.setdefault(one["account"], {})
            held[one["environment"]] = (*held.get(one["environment"], ()), made)
        elif right.table == "client_key":
            key = ClientKey(one["id"], one["account"], one["kind"], one["value"], one["ends_ms"])
            keys[key.account] = (*keys.get(key.account, ()), key)
        elif right.table == "authenticator":
            held_by = one["account"]
            proofs[held_by] = (*proofs.get(held_by, ()), authenticator_of(one))
    return {
        right.id: Account(
            right.id,
            right.values["kind"],
            right.values["professional_id"],
            right.values["ends_ms"],
            granted.get(right.id, {}),
            keys.get(right.id, ()),
            tenant_id=right.values["tenant"] or b"",
            openings=opened.get(right.id, {}),
            authenticators=proofs.get(right.id, ()),
            label=right.values["label"],
        )
        for right in rights
        if right.table == "account"
    }


def _bearers(
    rights: Sequence[Right], accounts: Mapping[str, Account], places: Mapping[tuple[str, str], Place]
) -> dict[bytes, Bearer]:
    """Whom each stored token stands for: its account is open, its environment too."""
    open_places = {place.environment_id: place for place in places.values()}
    found: dict[bytes, Bearer] = {}
    for one in (right.values for right in rights if right.table == "token"):
        account, place = accounts.get(one["account"]), open_places.get(one["environment"])
        if account is not None and place is not None:
            found[one["hash"]] = Bearer(
                account=account.id,
                professional_id=account.professional_id,
                place=place,
                expires_ms=min(one["expires_ms"], account.ends_ms),
                habilitations=account.habilitations.get(place.environment_id, ()),
                openings=account.openings.get(place.environment_id, ()),
            )
    return found
