"""An intrusion: a stranger at the door, a stolen token, a colleague who reads everything, a hand in the database."""

from __future__ import annotations

import asyncio
import secrets

from hygie.app import requests_of
from hygie.base.actions import Action
from hygie.demo.client import FhirClient
from hygie.demo.people import APPLICATION, NURSE, STRANGER
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.place_acts import PlaceActs
from hygie.scenarios.model import Attack
from hygie.scenarios.sandbox import OPERATOR, Sandbox

KNOCKS = 120  # a rule speaks from a hundred on
TRIES = 3  # a network that is declared counts within a second
FRANCE, GERMANY = "127.0.0.21", "127.0.0.22"  # two addresses of this machine, declared as of two countries


async def knock(made: Sandbox) -> None:
    """Somebody tries tokens that he invents."""

    def tries(client: FhirClient) -> None:
        for _ in range(KNOCKS):
            client.get("Patient?_count=1")

    await made.ask(tries, APPLICATION, token=secrets.token_urlsafe(32))


async def use_from_two_countries(made: Sandbox) -> None:
    """Somebody's token is used at home, and from somewhere else."""
    async with made.platform.administration() as acts:
        for address, country in ((FRANCE, "FR"), (GERMANY, "DE")):
            await PlaceActs(acts).add_network(f"{address}/32", country=country, label="exercice", days=1)
    for _ in range(TRIES):
        for address in (FRANCE, GERMANY):
            await made.ask(lambda client: client.get("Patient?_count=1"), NURSE, source=address)
        await asyncio.sleep(1)


async def read_everybody(made: Sandbox) -> None:
    """A nurse's session goes through every record."""

    def read(client: FhirClient) -> None:
        for patient in made.patients:
            client.get(f"Patient/{patient}")

    await made.ask(read, NURSE)


async def forge_a_right(made: Sandbox) -> None:
    """Who owns the database gives a right to somebody who has none, and he tries it."""
    async with made.custody.owner.transaction() as connection:
        await connection.execute("UPDATE hygie.habilitation SET account = %s WHERE account = %s", (STRANGER, NURSE))
    await made.ask(lambda client: client.get("Patient?_count=1"), STRANGER)


async def raise_rights(made: Sandbox) -> None:
    """Somebody of the host takes more rights without waiting for an answer."""
    custody = made.custody
    requests = requests_of(custody.house, custody.owner, custody.journal)
    what = {"account": OPERATOR, "ticket": "EXERCICE", "minutes": "5", "emergency": "yes"}
    permit = custody.operator.permit(Action.RIGHT_RAISE, EVERYWHERE)
    await requests.ask(permit, Action.RIGHT_RAISE, what, reason="exercice")


ATTACKS = (
    Attack("invented tokens", "storm-of-refusals", knock),
    Attack("a token in two countries", "two-places", use_from_two_countries),
    Attack("every record read", "mass-reading", read_everybody),
    Attack("a right written by SQL", "forged-rights", forge_a_right),
    Attack("rights raised at once", "raised-emergency", raise_rights),
)
