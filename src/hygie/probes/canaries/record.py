"""What a canary is: a patient whose every word is drawn from a key of its environment, and planted through the door.

No list of the words is kept anywhere, in clear, sealed or hashed: who searches draws them again from the KMS. A canary
is planted when its environment's catalogue holds its id, which is drawn likewise: that comes back with a rebuild, and
nobody without the key can tell a canary from a patient.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from hygie.app import House
from hygie.base.canonical import canonical
from hygie.base.errors import RefusedError, UnavailableError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.fhir.search.extraction import extract
from hygie.fhir.structures import parse
from hygie.gate.recorded import Environment
from hygie.probes.door import authority_of, open_connection
from hygie.synthetic.patients import needles

PURPOSE = "canary"
CONTEXT = "hygie canary v1"
PER_ENVIRONMENT_MAX = 8  # planted one after the other; each one's words are sought at every turn
WORD_LETTERS = 20  # 94 bits: no text holds one by chance
INDEXED_LETTERS = 8  # the longest prefix of a text that the index holds
_ENVIRONMENTS = (
    "SELECT t.name, e.name, e.kind, t.id, e.id, e.role FROM hygie.environment e JOIN hygie.tenant t ON t.id = e.tenant"
    " WHERE e.state = 'open' ORDER BY t.name, e.name"
)
WORDS = ("family", "given", "street", "mail")


class CanaryRefusedError(RefusedError):
    """The FHIR door did not take the canary."""

    code = "HYG-290"
    fr = "La porte a refusé l'enregistrement témoin ({status} {reason}) : le jeton doit pouvoir écrire un Patient."
    en = "The door refused the canary record ({status} {reason}): the token must be allowed to write a Patient."


class CanariesFullError(RefusedError):
    """As many canaries as are sought are planted already."""

    code = "HYG-291"
    fr = "Cet environnement a déjà ses {maximum} enregistrements témoins."
    en = "This environment has its {maximum} canary records already."


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary. number: in its environment, from 0; words: by ``WORDS``; planted_ms: None when it is not planted."""

    environment: Environment
    number: int
    id: str
    words: tuple[str, ...]
    planted_ms: int | None = None

    @property
    def name(self) -> str:
        """For people and entries: no word of it."""
        return f"{self.environment.tenant}/{self.environment.name}#{self.number}"

    @property
    def resource(self) -> dict[str, Any]:
        """The patient. It has no INS: production takes no made-up one."""
        family, given, street, mail = self.words
        return {
            "resourceType": "Patient",
            "id": self.id,
            "active": False,
            "name": [{"use": "official", "family": family.upper(), "given": [given.capitalize()]}],
            "birthDate": "1900-01-01",
            "address": [{"line": [f"{street.capitalize()} 1"], "city": "Saint-Exemple", "country": "FR"}],
            "telecom": [{"system": "email", "value": f"{mail}@patient.invalid"}],
        }

    def needles(self) -> list[bytes]:
        """Byte strings that betray it, in the spellings and encodings of ``synthetic``."""
        return needles(self.words)

    def terms(self) -> list[str]:
        """Index terms that no other record has: those of its words, as any environment would index them."""
        parsed = parse(json.dumps(self.resource).encode(), expected="Patient")
        heads = {word[:INDEXED_LETTERS] for word in self.words}
        return [term for term in extract(parsed.resource).terms if any(head in term for head in heads)]


def draw(key: bytes, environment: Environment, number: int) -> Canary:
    """The canary of a number. Args: key: 32 bytes, the environment's, for the purpose ``PURPOSE``."""

    def drawn(what: str) -> bytes:
        return hmac.digest(key, canonical(CONTEXT, number, what), hashlib.sha256)

    words = tuple("".join(chr(97 + byte % 26) for byte in drawn(word)[:WORD_LETTERS]) for word in WORDS)
    return Canary(environment, number, str(uuid.UUID(bytes=drawn("id")[:16], version=4)), words)


async def canaries_of(house: House, database: Database) -> list[Canary]:
    """Every canary that open environments may hold, planted or not. Args: database: opened with the owner's DSN.

    Raises: UnavailableError; KeyDestroyedError: an environment is being destroyed.
    """
    async with database.transaction() as connection:
        rows = await (await connection.execute(_ENVIRONMENTS)).fetchall()
    found: list[Canary] = []
    for tenant, name, kind, tenant_id, environment_id, role in rows:
        one = Environment(tenant, name, kind, "open", Place(tenant_id, environment_id, role))
        key = await house.kms.environment_key(tenant_id, environment_id, PURPOSE)
        index = (await house.context(one.place)).index
        drawn = {index.object_id("Patient", canary.id): canary for canary in _drawn(key, one)}
        instants = await _first_versions(database, role, list(drawn))
        found += [replace(canary, planted_ms=instants.get(id_)) for id_, canary in drawn.items()]
    return found


def _drawn(key: bytes, environment: Environment) -> list[Canary]:
    return [draw(key, environment, number) for number in range(PER_ENVIRONMENT_MAX)]


async def _first_versions(database: Database, role: str, ids: list[bytes]) -> dict[bytes, int]:
    """When objects were first written, by id, for those that ever were."""
    statement = sql.SQL("SELECT id, min(at_ms) FROM {} WHERE id = ANY(%s) GROUP BY id").format(
        sql.Identifier(role, "object")
    )
    async with database.transaction() as connection:
        return {bytes(row[0]): row[1] for row in await (await connection.execute(statement, (ids,))).fetchall()}


async def plant(house: House, canaries: Sequence[Canary], place: Place, token: str) -> Canary:
    """Write the first canary of an environment that is not there yet, as any application would.

    Raises: CanariesFullError; CanaryRefusedError: what the door answered; UnavailableError: no answer.
    """
    mine = [one for one in canaries if one.environment.place == place]
    chosen = next((one for one in mine if one.planted_ms is None), None)
    if chosen is None:
        raise CanariesFullError(maximum=PER_ENVIRONMENT_MAX)
    status, body = await asyncio.to_thread(_put, house, chosen, token)
    if status not in {http.HTTPStatus.OK, http.HTTPStatus.CREATED}:
        raise CanaryRefusedError(status=status, reason=_code_in(body))
    return chosen


def _put(house: House, canary: Canary, token: str) -> tuple[int, bytes]:
    where = f"/{canary.environment.tenant}/{canary.environment.name}/fhir/Patient/{canary.id}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    connection = open_connection(house.settings, authority_of(house))
    try:
        connection.request("PUT", where, json.dumps(canary.resource).encode(), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(part="https") from error
    finally:
        connection.close()


def _code_in(body: bytes) -> str:
    """The stable code of an OperationOutcome, nothing when it is not one."""
    try:
        return str(json.loads(body)["issue"][0]["details"]["coding"][0]["code"])
    except (ValueError, LookupError, TypeError):
        return ""
