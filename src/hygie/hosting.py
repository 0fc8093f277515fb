"""What a hosting process serves with: gate, vault, journal, and every face as one application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hygie import __version__
from hygie.app import House, default_limits, opened
from hygie.base.errors import SettingsError
from hygie.base.turns import Turns
from hygie.database.hot import HotConnections
from hygie.database.pool import Database
from hygie.fhir.face import Face
from hygie.fhir.notable import notable
from hygie.gate.activity import share_activity
from hygie.gate.break_glass import BreakGlass
from hygie.gate.desk import SessionDesk
from hygie.gate.gate import Gate
from hygie.gate.jwks_source import JwksSource
from hygie.gate.people import PeopleDoor
from hygie.gate.person_desk import PersonDesk
from hygie.gate.requests import Requests
from hygie.gate.reviews import Reviews
from hygie.gate.rights_desk import RightsDesk
from hygie.journal.writer import JournalWriter
from hygie.oauth.face import CONFIGURATION, TokenFace
from hygie.oauth.pages import FOLDER
from hygie.oauth.providers import Provider
from hygie.oauth.sign_in import DOORS, SignInFace
from hygie.rights.face import RightsFace
from hygie.server.server import Application, Receive, Scope, Send
from hygie.vault.vault import Vault

HOSTING_POOL = 6  # two groups of two environments being written, and what is rare


class Faces:
    """Which face a path goes to, by its third part."""

    def __init__(self, fhir: Face, tokens: TokenFace, rights: RightsFace, sign_in: SignInFace) -> None:
        self._fhir = fhir
        self._tokens = tokens
        self._rights = rights
        self._sign_in = sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        parts = scope["path"].split("/", 4)
        below = parts[4] if len(parts) > 4 else ""
        which = parts[3] if len(parts) > 3 else ""
        back = len(parts) == 3 and f"/{parts[1]}" == FOLDER  # where identity providers send people back
        if back or (which == "oauth2" and below in DOORS):
            face: Application = self._sign_in
        elif which == "oauth2" or (which == "fhir" and below == CONFIGURATION):
            face = self._tokens
        else:
            face = self._rights if which == "rights" else self._fhir
        await face(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Hosting:
    """What a hosting process serves with."""

    house: House
    database: Database
    journal: JournalWriter
    gate: Gate
    vault: Vault
    desk: SessionDesk
    rights: RightsDesk
    people: PeopleDoor
    turns: Turns
    persons: PersonDesk
    providers: tuple[Provider, ...]

    def face(self) -> Application:
        """Every face as one ASGI application."""
        host = self.house.settings.host
        fhir = Face(self.gate, self.vault, public_url=host.public_url or "", version=__version__, turns=self.turns)
        tokens = TokenFace(self.desk, self.persons, host.origins)
        sign_in = SignInFace(self.people, self.persons, self.providers, host.origins, self.house.clock)
        return Faces(fhir, tokens, RightsFace(self.rights), sign_in)


def providers_of(house: House) -> tuple[Provider, ...]:
    """The identity providers of the settings, with their secrets. Raises: SettingsError: one cannot be used."""
    found: list[Provider] = []
    for one in house.settings.identity_providers:
        authority = house.folder.resolve(one.authority) if one.authority is not None else None
        try:
            secret = house.folder.resolve(one.secret).read_bytes()
            back = f"{house.settings.host.origins[0]}{FOLDER}/{one.name}"
            made = Provider(one, secret=secret, redirect_uri=back, clock=house.clock, authority=authority)
        except (OSError, ValueError) as error:
            setting = f"identity_providers.{one.name}"
            raise SettingsError(setting=setting, reason="secret, authority") from error
        found.append(made)
    return tuple(found)


@asynccontextmanager
async def open_hosting(house: House) -> AsyncIterator[Hosting]:
    """Gate, vault and journal of one hosting process."""
    hot = HotConnections(house.dsns.hosting)
    async with opened(house.dsns.hosting, size=HOSTING_POOL) as database:
        await hot.open()
        journal = JournalWriter(database, house.month_keys, house.clock)
        vault = Vault(
            database=database,
            hot=hot,
            kms=house.kms,
            sites=house.sites,
            journal=journal,
            clock=house.clock,
            notable=notable,
        )
        defaults = default_limits(house.settings)
        gate = Gate(
            database, hot, journal, house.clock, kms=house.kms, defaults=defaults, country=house.settings.host.country
        )
        life_ms = house.settings.sessions.application_minutes * 60_000
        desk = SessionDesk(gate, database, journal, house.clock, source=JwksSource(), life_ms=life_ms)
        requests = Requests(database, kms=house.kms, journal=journal, clock=house.clock)
        glass = BreakGlass(database, kms=house.kms, journal=journal, clock=house.clock)
        reviews = Reviews(database, kms=house.kms, journal=journal, clock=house.clock)
        rights = RightsDesk(
            *(gate, requests, glass, reviews),
            database=database,
            journal=journal,
            clock=house.clock,
            production=house.settings.production,
        )
        providers = providers_of(house)
        origins = house.settings.host.origins
        people = PeopleDoor(gate, database, journal, house.clock, kms=house.kms, origins=origins)
        person_ms = house.settings.sessions.person_minutes * 60_000
        persons = PersonDesk(gate, database, journal, house.clock, kms=house.kms, applications=desk, life_ms=person_ms)
        turns = Turns()
        sharing = asyncio.create_task(share_activity(turns, hot), name="activity")
        try:
            yield Hosting(
                *(house, database, journal, gate, vault, desk),
                rights=rights,
                people=people,
                turns=turns,
                persons=persons,
                providers=providers,
            )
        finally:
            sharing.cancel()
            await asyncio.wait([sharing])
            await vault.close()
            await gate.close()
            await journal.close()
            await hot.close()
