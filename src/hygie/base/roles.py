"""The catalogue of roles: who may hold each, and the closed list of what it gives. Data: ``roles.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from hygie.base.actions import Action

CATALOGUE = Path(__file__).parent / "roles.toml"
CLIENT, HOST = "client", "host"


class Role(StrEnum):
    """The names of the catalogue."""

    APPLICATION = "application"
    RIGHTS_APPLICATION = "rights-application"
    HOST_RIGHTS_APPLICATION = "host-rights-application"
    CAREGIVER = "caregiver"
    READER = "reader"
    PRIVACY_OFFICER = "privacy-officer"
    RIGHTS_OFFICER = "rights-officer"
    SECURITY_OFFICER = "security-officer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class RoleCard:
    """One role. side: ``client`` or ``host``; sensitive: takes two persons besides its holder; days: it is held at
    most; actions: all that it gives."""

    role: Role
    fr: str
    en: str
    side: str
    sensitive: bool
    days: int
    actions: frozenset[Action]


def read_roles(text: str) -> dict[Role, RoleCard]:
    """A catalogue, whole.

    Raises: ValueError: an unknown role or action, an action twice, a role or a word that is missing.
    """
    found = {Role(name): _card(Role(name), given) for name, given in tomllib.loads(text).items()}
    if absent := set(Role) - set(found):
        raise ValueError(f"not in the catalogue: {', '.join(sorted(absent))}")
    return found


def _card(role: Role, given: Mapping[str, Any]) -> RoleCard:
    words = {"fr", "en", "side", "sensitive", "days", "actions"}
    if set(given) != words or given["side"] not in (CLIENT, HOST):
        raise ValueError(f"role {role} is not described as the others")
    actions = [Action(name) for name in given["actions"]]
    if len(set(actions)) != len(actions):
        raise ValueError(f"role {role} names an action twice")
    return RoleCard(role, **{**given, "actions": frozenset(actions)})


ROLES: Final[Mapping[Role, RoleCard]] = read_roles(CATALOGUE.read_text(encoding="utf-8"))
# Through who holds one of these a person decides on rights; no person holds one.
OF_RIGHTS: Final = frozenset({Role.RIGHTS_APPLICATION, Role.HOST_RIGHTS_APPLICATION})
ACTIONS_OF_ROLE: Final[Mapping[Role, frozenset[Action]]] = {role: card.actions for role, card in ROLES.items()}
