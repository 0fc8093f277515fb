"""The permit: what the gate hands out and the vault asks for. Only ``hygie.gate`` makes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hygie.base.actions import Action

SEEING = (Action.OBJECT_READ, Action.OBJECT_SEARCH)
EVERY_TYPE = "*"  # in a reach: any type of resource
CONTENT_TYPES = frozenset({"Binary", "Bundle"})  # of nobody, they may be anybody's: closed to whoever is limited
SET_TYPE = "Group"  # what a set of patients is kept as: closed to whoever is limited to one


@dataclass(frozen=True, slots=True)
class Place:
    """A tenant's environment, as every lower room names it.

    tenant_id, environment_id: 16 random bytes each, the identities that are authenticated in seals;
    role: the PostgreSQL role and schema of the environment (same name), e.g. ``hygie_env_3``; kind: ``production``,
    ``pre-production``, ``test`` or ``demonstration``; "" in work that writes nothing a client sent.
    """

    tenant_id: bytes
    environment_id: bytes
    role: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class PatientScope:
    """Whose records are open: present members of any of these sets, and these patients besides.

    sets: logical ids of ``Group`` resources of the environment; patients: logical ids of ``Patient`` resources;
    subjects: patients by the 16 bytes that stand for them, where their ids are not kept.
    """

    sets: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    subjects: frozenset[bytes] = frozenset()

    def __or__(self, other: PatientScope) -> PatientScope:
        """What either opens."""
        return PatientScope(self.sets | other.sets, self.patients | other.patients, self.subjects | other.subjects)


@dataclass(frozen=True, slots=True)
class Permit:
    """A live authorisation for one action, made by the gate after it looked up a live habilitation.

    permit_id: 16 random bytes, named by the journal entry and by the KMS's unwrap record;
    account: opaque account id; purpose, address, device: where and why, as the caller gave them, bounded;
    also: further actions admitted together with ``action`` (a transaction creates, updates and deletes);
    reach: types of resources by action, None for all: what a habilitation or a scope is limited to; patients: whose
    records it opens, None for all; quota: bytes and versions that its environment may hold, None where nothing a client
    sent is written; country: from where, and how that is known, as the entry says it; on_behalf_of:
    the application through which a person acts, or nothing; kin: folded words of the person's own name.
    """

    permit_id: bytes
    account: str
    professional_id: str
    authentication: str
    action: Action
    place: Place
    habilitation: str
    purpose: str
    address: str
    device: str
    also: frozenset[Action] = frozenset()
    reach: Mapping[Action, frozenset[str]] | None = None
    patients: PatientScope | None = None
    quota: tuple[int, int] | None = None
    country: str = ""
    on_behalf_of: str = ""
    kin: frozenset[str] = frozenset()

    def allows(self, action: Action) -> bool:
        """Whether this permit was given for ``action``."""
        return action is self.action or action in self.also

    def reaches(self, action: Action, type_: str) -> bool:
        """Whether ``action`` may touch this type of resource."""
        if self.patients is not None and type_ == SET_TYPE:
            return False
        return self.reach is None or reaches(self.reach, action, type_)

    def sees(self, type_: str) -> bool:
        """Whether this permit may learn that an object of this type is there."""
        return any(self.reaches(action, type_) for action in (self.action, *self.also, *SEEING))


def reaches(reach: Mapping[Action, frozenset[str]], action: Action, type_: str) -> bool:
    """Whether a reach opens ``action`` on this type of resource."""
    types = reach.get(action, frozenset())
    return type_ in types or EVERY_TYPE in types
