"""YAML and JSON of strangers, within bounds: plain dictionaries, lists and texts, each dictionary with its line.

YAML is read from its events, so no tag builds anything and depth and size are bounded while reading. An alias counts
for all that its anchor holds: a file whose aliases would unfold into billions of values is refused while it is small.
A plain YAML scalar stays as it is written (``1.10`` is not a number, ``no`` is not false): readers know what they want.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from hygie.base.errors import HygieError
from hygie.proof.model import Text
from hygie.proof.referentials.tree import place, refused

FILE_BYTES_MAX = 32 * 1024 * 1024  # the largest published catalogue (NIST SP 800-53) is some 11 MB
DEPTH_MAX = 64  # collections in collections: the deepest published catalogues stay under 20
VALUES_MAX = 1_000_000  # values, aliases unfolded: the largest catalogue has some 300,000
DIGITS_MAX = 18  # of an integer: longer is no version, no count, and costs quadratic time

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_CORE = "tag:yaml.org,2002:"
_CORE_TAGS = {"!", *(_CORE + name for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq"))}
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)


class Record(dict[str, Any]):
    """A dictionary of the file. line: where it begins; 0 in JSON."""

    line: int = 0


def parse(data: bytes) -> Record:
    """The document of a file: JSON if it begins with a brace, else YAML.

    Raises: ReferentialRefusedError: too large, too deep, too many values, not UTF-8, not well formed, a key twice, a
    tag or a merge key, a recursive alias, several documents, or no dictionary at the top.
    """
    whole = Text("fichier", "file")
    if len(data) > FILE_BYTES_MAX:
        raise refused(whole, fr=f"plus de {FILE_BYTES_MAX} octets", en=f"more than {FILE_BYTES_MAX} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise refused(place("UTF-8", line), fr="texte qui n'est pas en UTF-8", en="text that is not UTF-8") from error
    found = _from_json(text) if text.lstrip()[:1] == "{" else _from_yaml(text)
    if not isinstance(found, Record):
        raise refused(whole, fr="ni dictionnaire YAML ni objet JSON", en="neither a YAML dictionary nor a JSON object")
    return found


def _from_json(text: str) -> Any:
    count = 0

    def record(pairs: list[tuple[str, Any]]) -> Record:
        nonlocal count
        count += 1 + len(pairs)
        if count > VALUES_MAX:  # while reading: a dictionary is what costs most
            raise _too_many(place("JSON"))
        found = Record()
        for name, value in pairs:
            if name in found:
                raise refused(place(name), fr="clé en double", en="the same key twice")
            found[name] = value
        return found

    def integer(digits: str) -> int:
        if len(digits) > DIGITS_MAX:
            raise refused(place(digits), fr="nombre trop long", en="number too long")
        return int(digits)

    def constant(name: str) -> NoReturn:
        raise refused(place(name), fr="nombre impossible", en="impossible number")

    try:
        found = json.loads(text, object_pairs_hook=record, parse_int=integer, parse_float=str, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise refused(place("JSON", error.lineno), fr="JSON mal formé", en="malformed JSON") from error
    except RecursionError as error:
        raise _too_deep(place("JSON")) from error
    _bound(found)
    return found


def _bound(found: Any) -> None:
    """Depth and count of what JSON gave, and texts that escapes may have broken. Raises: ReferentialRefusedError."""
    count = 0
    level: list[tuple[Any, str]] = [(found, "")]  # with the id of the nearest record around
    for _ in range(DEPTH_MAX + 1):
        count += len(level)
        if count > VALUES_MAX:
            raise _too_many(place("JSON"))
        inside: list[tuple[Any, str]] = []
        for one, around in level:
            if isinstance(one, dict):
                name = one["id"] if isinstance(one.get("id"), str) else around
                for key, value in one.items():
                    _check_text(key, name)
                    _check_text(value, f"{name}: {key}" if name else key)
                    inside.append((value, name))
            elif isinstance(one, list):
                inside += [(value, around) for value in one]
            else:
                _check_text(one, around)
        level = inside
        if not level:
            return
    raise _too_deep(place("JSON"))


def _check_text(one: object, where: str) -> None:
    """Half of a character (``"\\ud800"``) is text for JSON and for nothing else. Raises: ReferentialRefusedError."""
    if isinstance(one, str) and not one.isascii():
        try:
            one.encode()
        except UnicodeEncodeError as error:
            shown = place((where or one).encode(errors="ignore").decode())
            raise refused(shown, fr="caractère impossible", en="impossible character") from error


@dataclass(slots=True)
class _Open:
    """A collection that is being read. size: values in it so far, aliases unfolded."""

    held: Record | list[Any]
    anchor: str | None
    size: int = 1
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """The value of one YAML document, event by event. total: values so far, aliases unfolded."""

    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    total: int = 0
    begun: bool = False
    value: Any = None

    def take(self, event: yaml.Event) -> None:
        """Raises: ReferentialRefusedError."""
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.ScalarEvent):
            self._check_tag(event.tag, line)
            self._scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._check_tag(event.tag, line)
            self._begin(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self.open.pop()
            self._put(closed.held, closed.size, closed.anchor, line)
        elif isinstance(event, yaml.AliasEvent):
            value, size = self.anchors.get(event.anchor or "", (None, 0))
            if not size:
                raise refused(
                    place(f"*{event.anchor}", line), fr="alias récursif ou inconnu", en="recursive or unknown alias"
                )
            self._count(size, line)
            self._put(value, size, None, line)
        elif isinstance(event, yaml.DocumentStartEvent):
            if self.begun:
                raise refused(place("---", line), fr="plusieurs documents", en="several documents")
            self.begun = True

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag not in _CORE_TAGS:
            raise refused(place(tag, line), fr="étiquette YAML refusée", en="YAML tag refused")

    def _count(self, size: int, line: int) -> None:
        self.total += size
        if self.total > VALUES_MAX:
            raise _too_many(place("YAML", line))

    def _begin(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if len(self.open) >= DEPTH_MAX:
            raise _too_deep(place("YAML", line))
        self._count(1, line)
        held: Record | list[Any] = [] if isinstance(event, yaml.SequenceStartEvent) else Record()
        if isinstance(held, Record):
            held.line = line
        if event.anchor is not None:
            self.anchors[event.anchor] = (None, 0)  # until it is closed, an alias to it would be recursive
        self.open.append(_Open(held, event.anchor))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        self._count(1, line)
        holder = self.open[-1] if self.open else None
        plain = event.implicit[0] and event.tag is None
        if holder is None or not isinstance(holder.held, Record) or holder.key is not None:
            self._put(_WORDS.get(event.value, event.value) if plain else event.value, 1, event.anchor, line)
            return
        if event.value == "<<" and plain:
            raise refused(place("<<", line), fr="clé de fusion refusée", en="merge key refused")
        if event.value in holder.held:
            raise refused(place(event.value, line), fr="clé en double", en="the same key twice")
        holder.key = event.value

    def _put(self, value: Any, size: int, anchor: str | None, line: int) -> None:
        """A value that is complete goes where it belongs."""
        if anchor is not None:
            self.anchors[anchor] = (value, size)
        if not self.open:
            self.value = value
            return
        holder = self.open[-1]
        holder.size += size
        if isinstance(holder.held, list):
            holder.held.append(value)
        elif holder.key is None:
            raise refused(place("YAML", line), fr="clé qui n'est pas un texte", en="a key that is not a text")
        else:
            holder.held[holder.key] = value
            holder.key = None


def _from_yaml(text: str) -> Any:
    builder = _Builder()
    for event in _events(text):
        builder.take(event)
    return builder.value


def _events(text: str) -> Iterator[yaml.Event]:
    """Raises: ReferentialRefusedError: not well formed."""
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except HygieError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise refused(place("YAML", line), fr="YAML mal formé", en="malformed YAML") from error
    except yaml.YAMLError as error:
        raise refused(place("YAML"), fr="YAML mal formé", en="malformed YAML") from error


def _too_deep(where: Text) -> HygieError:
    return refused(where, fr=f"plus de {DEPTH_MAX} niveaux d'imbrication", en=f"nested deeper than {DEPTH_MAX}")


def _too_many(where: Text) -> HygieError:
    return refused(
        where, fr=f"plus de {VALUES_MAX} valeurs, alias dépliés", en=f"more than {VALUES_MAX} values, aliases unfolded"
    )
