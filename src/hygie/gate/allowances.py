"""How much an account, a client and an environment may use: the installation's own limits, and what was set instead.

Source: docs/adr/0022-limits.md.  What was set is a row with a MAC, an end and a reason (table ``allowance``), made by
``hygie limit set`` and read with the rights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hygie.base.actions import Action
from hygie.gate.rights import Right

ACCOUNT, TENANT, ENVIRONMENT = "account", "tenant", "environment"
POINTS, BYTES, VERSIONS = "points", "bytes", "versions"
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    ACCOUNT: (POINTS,),
    TENANT: (POINTS,),
    ENVIRONMENT: (BYTES, VERSIONS),
}
BURST_S = 20  # seconds of its rate that a full bucket holds: a screen that opens, a batch of the night that begins
GIB = 1 << 30

# What one admission costs, in points. A read by id is the measure; a search or a history page opens up to a thousand
# objects; a session costs a verified signature and a durable entry. A bundle pays for each of its entries.
COST: Final[Mapping[Action, int]] = {
    Action.OBJECT_READ: 1,
    Action.OBJECT_CREATE: 1,
    Action.OBJECT_UPDATE: 1,
    Action.OBJECT_DELETE: 1,
    Action.OBJECT_SEARCH: 5,
    Action.OBJECT_HISTORY: 5,
    Action.SESSION_OPEN: 5,
}
COST_OF_OTHERS = 5

Key = tuple[str, str, str]  # kind, subject, name
Allowances = Mapping[Key, tuple[int, int]]  # value, and the instant it ends (ms UTC)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What counts where nothing was set. person, application, tenant: points a second; the rest: of one environment."""

    person: int = 200
    application: int = 20_000
    tenant: int = 40_000
    environment_bytes: int = 10_240 * GIB
    environment_versions: int = 1_000_000_000

    def points(self, kind: str) -> int:
        """Points a second of a kind of account, or of a client."""
        return {"person": self.person, "application": self.application}.get(kind, self.tenant)


def allowances_of(rights: Iterable[Right]) -> Allowances:
    """What was set, of rows whose MAC holds."""
    found: dict[Key, tuple[int, int]] = {}
    for one in (right.values for right in rights if right.table == "allowance"):
        found[one["kind"], one["subject"], one["name"]] = (one["value"], one["ends_ms"])
    return found


def allowed(allowances: Allowances, key: Key, default: int, now_ms: int) -> int:
    """The limit that counts now."""
    value, ends_ms = allowances.get(key, (default, 0))
    return value if now_ms < ends_ms else default


def quota(allowances: Allowances, environment_id: bytes, defaults: Defaults, now_ms: int) -> tuple[int, int]:
    """(bytes, versions) that an environment may hold."""
    subject = environment_id.hex()
    return (
        allowed(allowances, (ENVIRONMENT, subject, BYTES), defaults.environment_bytes, now_ms),
        allowed(allowances, (ENVIRONMENT, subject, VERSIONS), defaults.environment_versions, now_ms),
    )
