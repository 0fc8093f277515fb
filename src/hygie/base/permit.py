"""The permit: what the gate hands out and the vault asks for. Only ``hygie.gate`` makes one."""

from __future__ import annotations

from dataclasses import dataclass

from hygie.base.actions import Action


@dataclass(frozen=True, slots=True)
class Place:
    """A tenant's environment, as every lower room names it.

    tenant_id, environment_id: 16 random bytes each, the identities that are authenticated in seals;
    role: the PostgreSQL role and schema of the environment (same name), e.g. ``hygie_env_3``.
    """

    tenant_id: bytes
    environment_id: bytes
    role: str


@dataclass(frozen=True, slots=True)
class Permit:
    """A live authorisation for one action, made by the gate after it looked up a live habilitation.

    permit_id: 16 random bytes, named by the journal entry and by the KMS's unwrap record;
    account: opaque account id; on_behalf_of, purpose, address, device: where and why, as the caller gave them, bounded;
    also: further actions admitted together with ``action`` (a transaction creates, updates and deletes).
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

    def allows(self, action: Action) -> bool:
        """Whether this permit was given for ``action``."""
        return action is self.action or action in self.also
