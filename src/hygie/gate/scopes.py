"""Scopes of an access token: which interactions, on which types of resources. Pure.

Source: SMART App Launch 2.2.0, "Scopes for requesting FHIR Resources" (``system/Observation.rs``); the words of version
1 (``.read``, ``.write``, ``.*``) are understood and answered in version 2's. A scope narrows what habilitations give;
it never adds to it. Granular scopes (``?category=…``) are refused: half of one kept would be more than was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hygie.base.actions import Action
from hygie.base.permit import EVERY_TYPE

SCOPE_CHARACTERS_MAX = 4_096
SCOPES_MAX = 200

Reach = Mapping[Action, frozenset[str]]  # types by action; EVERY_TYPE stands for all

_SCOPE = re.compile(r"(system|user)/([A-Z][A-Za-z]{1,63}|\*)\.(\*|read|write|c?r?u?d?s?)")
RIGHTS = "hygie/rights"  # the door of rights: an application that reads records for somebody does not decide for him
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
# A history of one object is read as the object is, a history of a type as it is searched: either letter opens it.
_ACTIONS: Mapping[str, tuple[Action, ...]] = {
    "c": (Action.OBJECT_CREATE,),
    "r": (Action.OBJECT_READ, Action.OBJECT_HISTORY),
    "u": (Action.OBJECT_UPDATE,),
    "d": (Action.OBJECT_DELETE,),
    "s": (Action.OBJECT_SEARCH, Action.OBJECT_HISTORY),
}


def parse_scopes(text: str) -> tuple[str, ...]:
    """The scopes of a request, each once, in version 2's words.

    Raises: ValueError: none, too many, or one that is not a resource scope; its text is not repeated.
    """
    if len(text) > SCOPE_CHARACTERS_MAX:
        raise ValueError("too long")
    found: dict[str, None] = {}
    for word in text.split():
        if word == RIGHTS:
            found[RIGHTS] = None
            continue
        match = _SCOPE.fullmatch(word)
        if match is None or not match[3]:
            raise ValueError("not a resource scope")
        found[f"{match[1]}/{match[2]}.{_VERSION_1.get(match[3], match[3])}"] = None
    if not 0 < len(found) <= SCOPES_MAX:
        raise ValueError("number of scopes")
    return tuple(found)


def reach_of(scopes: Iterable[str], rights: Iterable[Action] = ()) -> Reach:
    """What scopes in version 2's words open: types by action.

    Args: rights: what ``hygie/rights`` opens: what the application through which a person acts holds of it.
    """
    opened: dict[Action, set[str]] = {}
    for scope in scopes:
        if scope == RIGHTS:
            opened |= {action: {EVERY_TYPE} for action in rights}
            continue
        type_, _, letters = scope.partition("/")[2].rpartition(".")
        for letter in letters:
            for action in _ACTIONS[letter]:
                opened.setdefault(action, set()).add(type_)
    return {action: frozenset(types) for action, types in opened.items()}


def granted(
    scopes: Iterable[str], actions: frozenset[Action], types: frozenset[str], *, rights: bool = False
) -> tuple[str, ...]:
    """What of the asked scopes a habilitation bears out.

    Args: actions: of its role; types: it is limited to, all when empty; rights: whether it bears out ``hygie/rights``.
    """
    kept: dict[str, None] = {}
    for scope in scopes:
        if scope == RIGHTS:
            if rights:
                kept[RIGHTS] = None
            continue
        context, _, rest = scope.partition("/")
        type_, _, letters = rest.rpartition(".")
        held = "".join(letter for letter in letters if _ACTIONS[letter][0] in actions)
        if not held:
            continue
        for one in sorted(types) if type_ == EVERY_TYPE and types else [type_]:
            if not types or one in types:
                kept[f"{context}/{one}.{held}"] = None
    return tuple(kept)


def narrowed(reach: Reach | None, actions: frozenset[Action], types: frozenset[str]) -> Reach:
    """What of a reach (None: everything) is among these actions and types."""
    if reach is None:
        return dict.fromkeys(actions, types)
    return {action: types if EVERY_TYPE in open_ else open_ & types for action, open_ in reach.items()}
