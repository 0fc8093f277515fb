"""Whether a request asks for a habilitation that could be: looked at before anybody is asked to approve it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hygie.base.people import is_same_person
from hygie.base.permit import Place
from hygie.base.roles import HOST, ROLES
from hygie.gate.errors import RequestRefusedError
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.narrowing import Limits

_DAYS = re.compile(r"[0-9]{1,4}")
_WORDS = frozenset({"account", "role", "days", "types", "patients", "purposes"})


def check_habilitation(what: Mapping[str, str], place: Place, asker: str) -> None:
    """Whether the words ask for a habilitation that could be there.

    Args: asker: account of who asks: a sensitive role takes two persons besides its holder.
    Raises: RequestRefusedError; AdministrationError: limits that are none.
    """
    card = next((one for role, one in ROLES.items() if role == what.get("role")), None)
    days = what.get("days", "")
    if card is None or not set(what) <= _WORDS or not what.get("account"):
        raise RequestRefusedError(reason="habilitation")
    if (card.side == HOST) != (place == EVERYWHERE):
        raise RequestRefusedError(reason="role")
    if card.sensitive and is_same_person(asker, what["account"]):
        raise RequestRefusedError(reason="holder")
    if not _DAYS.fullmatch(days) or not 0 < int(days) <= card.days:
        raise RequestRefusedError(reason="days")
    Limits.of_row({name: what.get(name, "") for name in ("types", "patients", "purposes")}).check()
