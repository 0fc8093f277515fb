"""Who is in the story: two clients, one of them with two environments, and four accounts with rights and tokens.

Made once and found again by a second run; tokens are drawn anew each time, the earlier ones revoked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hygie.base.language import say
from hygie.base.roles import Role
from hygie.demo.books import CLIENTS
from hygie.demo.errors import DemoFolderError
from hygie.demo.platform import Platform
from hygie.gate.administration import Administration
from hygie.gate.recorded import Environment

NEIGHBOUR, TENANT = CLIENTS  # the neighbour has signed; its environments come later
DEMONSTRATION = "demonstration"
TEST = "test"
APPLICATION, NURSE, STRANGER, OFFICER = "dossier-patient", "claire.martin", "jean.passant", "anne.dpo"
APPROVER = "paul.cadre"
ACCOUNT_DAYS = 365
HABILITATION_DAYS = 180
APPLICATION_TOKEN_DAYS = 30.0
STORY_TOKEN_DAYS = 0.5  # nobody needs them after the story


@dataclass(frozen=True, slots=True)
class People:
    """Tokens by account; ``elsewhere``: one of the application for the test environment."""

    environment: Environment
    tokens: Mapping[str, str]
    elsewhere: str
    new: bool


async def settle(platform: Platform) -> People:
    """Make what is missing, draw the tokens. Raises: DemoFolderError: another client lives in this folder."""
    async with platform.administration() as acts:
        tenants = {row["name"] for row in await acts.listing("tenant")}
        if tenants - set(CLIENTS):
            raise DemoFolderError(folder=str(platform.folder.path))
        labels = {
            TENANT: say(fr="CHU d'Exemple", en="Example University Hospital"),
            NEIGHBOUR: say(fr="Cabinet d'Exemple", en="Example Practice"),
        }
        for name in labels.keys() - tenants:
            await acts.create_tenant(name, labels[name])
        known = {one.name for one in await acts.environments()}
        for name in (DEMONSTRATION, TEST):
            if name not in known:
                await acts.create_environment(TENANT, name, name)
        await _accounts(acts)
        await _habilitations(acts)
        tokens, elsewhere = await _tokens(acts)
        return People(await acts.environment(TENANT, DEMONSTRATION), tokens, elsewhere, TENANT not in tenants)


async def _accounts(acts: Administration) -> None:
    known = {row["id"] for row in await acts.listing("account")}
    wanted = {
        APPLICATION: ("application", say(fr="Logiciel de dossier patient", en="Patient record software"), ""),
        NURSE: ("person", say(fr="Claire Martin, infirmière", en="Claire Martin, nurse"), "899700123450"),
        STRANGER: ("person", say(fr="Jean Passant, sans habilitation", en="Jean Passant, without habilitation"), ""),
        OFFICER: ("person", say(fr="Anne Le Goff, DPO", en="Anne Le Goff, privacy officer"), ""),
    }
    for account, (kind, label, professional_id) in wanted.items():
        if account not in known:
            await acts.create_account(
                account, kind=kind, label=label, professional_id=professional_id, days=ACCOUNT_DAYS
            )


async def _habilitations(acts: Administration) -> None:
    live = {_key(row) for row in await acts.listing("habilitation") if row["revoked_ms"] is None}
    for account, environment, role in (
        (APPLICATION, DEMONSTRATION, Role.APPLICATION),
        (APPLICATION, TEST, Role.APPLICATION),
        (NURSE, DEMONSTRATION, Role.CAREGIVER),
        (OFFICER, DEMONSTRATION, Role.PRIVACY_OFFICER),
    ):
        if (account, environment, role.value) not in live:
            await acts.grant(
                account,
                TENANT,
                environment,
                role=role,
                reason=say(fr="démonstration", en="demonstration"),
                approver=APPROVER,
                days=HABILITATION_DAYS,
            )


async def _tokens(acts: Administration) -> tuple[dict[str, str], str]:
    for row in await acts.listing("token"):
        if row["revoked_ms"] is None:
            await acts.revoke_token(row["id"])
    tokens: dict[str, str] = {}
    for account in (APPLICATION, NURSE, STRANGER, OFFICER):
        days = APPLICATION_TOKEN_DAYS if account == APPLICATION else STORY_TOKEN_DAYS
        _, tokens[account] = await acts.create_token(account, TENANT, DEMONSTRATION, days=days)
    _, elsewhere = await acts.create_token(APPLICATION, TENANT, TEST, days=STORY_TOKEN_DAYS)
    return tokens, elsewhere


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["account"], row["environment"], row["role"]
