"""Open environments share nothing: neither role, nor right on a schema, nor key, nor what a key opens.

What PostgreSQL and the KMS make apart, a hand at work in the database or a state of keys restored over another may
bring together. Rights are read in the system's catalogue, of every environment; keys are compared and tried on the
newest pack of each of a sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from hygie.app import House, opened
from hygie.base.errors import HygieError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.keys.errors import KeyDestroyedError
from hygie.proof.flows.model import ApartFacts
from hygie.vault.pack import FOOTER, HEADER, pack_name, read_front, read_table

SAMPLE_MAX = 8  # pairs grow as the square; a sample of eight shows the rule
PURPOSES = ("id", "index", "pack", "cursor", "canary")
_OPEN = (
    "SELECT t.name || '/' || e.name, t.id, e.id, e.role FROM hygie.environment e JOIN hygie.tenant t ON t.id = e.tenant"
    " WHERE e.state = 'open' ORDER BY e.created_ms, e.id"
)
_ATTRIBUTES = (
    "SELECT rolname || ' may log in, or more' FROM pg_roles WHERE rolname = ANY(%s) AND (rolcanlogin OR rolsuper"
    " OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) ORDER BY 1"
)
# Who becomes an environment's role: the hosting processes, for one transaction, and the owner, who made it.
_MEMBERS = (
    "SELECT member.rolname || ' is ' || held.rolname FROM pg_auth_members m JOIN pg_roles held ON held.oid = m.roleid"
    " JOIN pg_roles member ON member.oid = m.member"
    " WHERE (held.rolname = ANY(%s) AND member.rolname NOT IN ('hygie_hosting', 'hygie_owner', 'postgres'))"
    " OR (member.rolname = ANY(%s) AND held.rolname <> 'hygie_environments') ORDER BY 1"
)
_GRANTS = (
    "SELECT DISTINCT n.nspname || ': ' || CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee) END"
    " FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid,"
    " LATERAL (SELECT (aclexplode(n.nspacl)).grantee UNION ALL SELECT (aclexplode(c.relacl)).grantee) acl"
    " WHERE n.nspname = ANY(%s) AND acl.grantee <> n.nspowner"
    " AND acl.grantee <> (SELECT oid FROM pg_roles WHERE rolname = n.nspname) ORDER BY 1"
)
_NEWEST = "SELECT number, bytes FROM {} ORDER BY number DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class _Environment:
    name: str
    place: Place
    keys: dict[str, bytes]


async def probe_apart(house: House) -> ApartFacts:
    """Every environment's rights; keys and packs of a sample.

    Raises: HygieError: the database, the KMS or the sites do not answer.
    """
    async with opened(house.dsns.owner, size=1) as database:
        async with database.transaction() as connection:
            rows = await (await connection.execute(_OPEN)).fetchall()
            roles = [row[3] for row in rows]
            faults = [f"{role}: twice" for role in sorted({one for one in roles if roles.count(one) > 1})]
            for query, parameters in ((_ATTRIBUTES, (roles,)), (_MEMBERS, (roles, roles)), (_GRANTS, (roles,))):
                faults += [row[0] for row in await (await connection.execute(query, parameters)).fetchall()]
        sample = [await _with_keys(house, row) for row in rows[:SAMPLE_MAX]]
        held = [one for one in sample if one is not None]
        faults += _same_keys(held)
        tried = len(held) * (len(held) - 1) // 2 * len(PURPOSES)
        packs = own = 0
        for one in held:
            sealed = await _newest_table(house, database, one.place)
            if sealed is None:
                continue
            packs += 1
            own += _opens(sealed, one, one.keys["pack"])
            others = [other for other in held if other is not one]
            tried += len(others)
            faults += [f"{other.name} opens {one.name}" for other in others if _opens(sealed, one, other.keys["pack"])]
    return ApartFacts(len(rows), tried, packs, own, tuple(faults))


async def _with_keys(house: House, row: Sequence[object]) -> _Environment | None:
    """None: it is being destroyed."""
    name, tenant_id, environment_id, role = row
    assert isinstance(tenant_id, bytes)
    assert isinstance(environment_id, bytes)
    try:
        keys = {one: await house.kms.environment_key(tenant_id, environment_id, one) for one in PURPOSES}
    except KeyDestroyedError:
        return None
    return _Environment(str(name), Place(tenant_id, environment_id, str(role)), keys)


def _same_keys(held: Sequence[_Environment]) -> Iterator[str]:
    """Keys that two environments have, whatever their purpose. Only their digests are compared."""
    seen: dict[bytes, str] = {}
    for one in held:
        for purpose, key in one.keys.items():
            told = f"{one.name} {purpose}"
            other = seen.setdefault(hashlib.sha256(key).digest(), told)
            if other != told:
                yield f"one key: {other}, {told}"


async def _newest_table(house: House, database: Database, place: Place) -> tuple[int, bytes] | None:
    """Number and sealed table of the newest pack, as a site has it; None: nothing was ever written."""
    newest = sql.SQL(_NEWEST).format(sql.Identifier(place.role, "pack"))
    async with database.transaction() as connection:
        row = await (await connection.execute(newest)).fetchone()
    if row is None:
        return None
    number, size = row
    name = pack_name(place.environment_id, number)
    start, length = read_front(await house.sites.read(name, size - FOOTER.size, FOOTER.size), size)
    assert start >= HEADER.size
    return number, await house.sites.read(name, start, length)


def _opens(sealed: tuple[int, bytes], one: _Environment, key: bytes) -> bool:
    try:
        read_table(sealed[1], one.place, number=sealed[0], pack_key=key)
    except HygieError:
        return False
    return True
