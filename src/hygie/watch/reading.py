"""The documents of a rule's file: plain YAML of somebody else, within bounds."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from hygie.watch.errors import RuleInvalidError

FILE_BYTES_MAX = 256 * 1024  # a list of addresses of a SOC; a rule alone is a page
DOCUMENTS_MAX = 100

_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(_LOADER):  # type: ignore[misc]
    """Plain values only, and no key twice: the last one would silently undo the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A dictionary. Raises: YAMLError: the same key twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, "the same key twice", key.start_mark)
            seen.add(key.value)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return found


def documents(data: bytes, file: str) -> list[dict[str, Any]]:
    """Every document of a file; each is a map.

    Raises: RuleInvalidError: too large, not UTF-8, not YAML, an alias, a key twice, or something else than maps.
    """
    if len(data) > FILE_BYTES_MAX:
        raise RuleInvalidError(file=file, where="file", reason=f"more than {FILE_BYTES_MAX} bytes")
    try:
        text = data.decode("utf-8-sig")
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):  # what unfolds without end; no rule needs one
                raise RuleInvalidError(file=file, where=_line(event.start_mark), reason="an alias")
        found = list(yaml.load_all(text, Loader=_Loader))
    except UnicodeDecodeError as error:
        raise RuleInvalidError(file=file, where="file", reason="not UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = str(getattr(error, "problem", None) or "not YAML")[:200]
        raise RuleInvalidError(file=file, where=_line(mark), reason=reason) from error
    except (RecursionError, ValueError) as error:  # too deep; a date that is none
        raise RuleInvalidError(file=file, where="file", reason="not YAML of a rule") from error
    if not 0 < len(found) <= DOCUMENTS_MAX or not all(isinstance(one, dict) for one in found):
        raise RuleInvalidError(file=file, where="file", reason=f"1 to {DOCUMENTS_MAX} maps")
    return found


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}" if mark is not None else "file"
