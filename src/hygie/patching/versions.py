"""The order of versions: Debian's (policy 5.6.12, as dpkg compares), and Python's (PEP 440, by ``packaging``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from packaging.version import InvalidVersion, Version

VERSION_CHARACTERS_MAX = 256  # of one version; the longest of Debian have some sixty
_DEBIAN = re.compile(r"(?:(?P<epoch>[0-9]+):)?(?P<upstream>[0-9A-Za-z.+~:-]+?)(?:-(?P<revision>[0-9A-Za-z.+~]+))?")
_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
_END = (0,)  # the end of a part sorts after "~" and before all else

Key = Callable[[str], Any]


def debian_key(version: str) -> tuple[Any, ...]:
    """A key that orders as ``dpkg --compare-versions`` does. Raises: ValueError: no version of Debian."""
    found = _DEBIAN.fullmatch(version) if len(version) <= VERSION_CHARACTERS_MAX else None
    if found is None:
        raise ValueError("no Debian version")
    return int(found["epoch"] or 0), _order(found["upstream"]), _order(found["revision"] or "0")


def python_key(version: str) -> Version:
    """A key that orders as PEP 440 does; plain numbers (``18.6``, ``3.11.7``) too. Raises: ValueError: no version."""
    if len(version) > VERSION_CHARACTERS_MAX:
        raise ValueError("no version")
    try:
        return Version(version)
    except InvalidVersion as error:
        raise ValueError("no version") from error


def _order(text: str) -> tuple[Any, ...]:
    """Texts and numbers in turn; what ends is followed by nothing and zero, as dpkg reads on."""
    parts = [(_weights(word), int(number or 0)) for word, number in _PARTS.findall(text) if word or number]
    return (*parts, (_END, 0))


def _weights(text: str) -> tuple[int, ...]:
    """Letters before all other characters, and ``~`` before everything, even the end."""
    return (*(-1 if one == "~" else ord(one) + (0 if one.isalpha() else 256) for one in text), 0)
