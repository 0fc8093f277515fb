"""The logs of a dossier: every batch of runs, every register write, against their chains and the journal.

Source: docs/formats/dossier.md v1, docs/formats/evidence-log.md v1, docs/formats/register-log.md v1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from hygie.base.canonical import canonical
from hygie.verify.errors import DossierTamperedError, require
from hygie.verify.source import Source

LINES_BYTES_MAX = 256 * 1024 * 1024  # a file ends soon after 8 MiB; one batch of the largest catalogue fits
DOCUMENT_BYTES_MAX = 25 * 1024 * 1024
Fields = dict[str, type]
BATCH_FIELDS: Fields = dict.fromkeys(("batch", "at_ms", "count"), int)
BATCH_TEXTS: Fields = dict.fromkeys(("cause", "mode", "catalogue", "digest"), str)
WRITE_FIELDS: Fields = dict.fromkeys(("write", "version", "at_ms"), int)
WRITE_TEXTS = ("register", "key", "author", "approver", "tenant", "state", "reason", "digest")
RUN_FIELDS: Fields = dict.fromkeys(("at_ms", "ran_ms", "fresh_until_ms", "since_ms"), int)


class Held(NamedTuple):
    """What a dossier holds under one number of a log. runs: of a batch."""

    digest: str
    at_ms: int
    runs: int


class Named(NamedTuple):
    """What one entry names: numbers ``first`` to ``last``, the digest of the last one. said: its own count."""

    entry: int
    at_ms: int
    first: int
    last: int
    digest: str
    said: int


@dataclass(slots=True)
class Logs:
    """What was found, by number. holes: what was declared lost, by log and first number; ends: the last number that is
    there, by log; last: newest run of each check; catalogues: by digest."""

    holes: dict[tuple[str, int], dict[str, Any]]
    batches: dict[int, Held] = field(default_factory=dict)
    writes: dict[int, Held] = field(default_factory=dict)
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    catalogues: dict[str, dict[str, Any]] = field(default_factory=dict)
    catalogue: str = ""
    mode: str = ""
    documents: int = 0

    def past(self, log: str, number: int, before: bytes) -> tuple[int, bytes]:
        """The number that comes after one, and the digest that it goes on from. What was before a hole says nothing."""
        hole = self.holes.get((log, number + 1))
        self.last = {} if hole and log == "batches" else self.last
        return (hole["last"] + 1, bytes.fromhex(hole["digest"])) if hole else (number + 1, before)


def read_json(data: bytes, part: str, name: str | int, fields: Fields | None = None) -> dict[str, Any]:
    """An object with fields of these types. Raises: DossierTamperedError."""
    try:
        found, least = json.loads(data), 0 if fields else -(2**63)  # what people wrote down may be below zero
        sound = all(type(found[key]) is kind for key, kind in (fields or {}).items())
        require(sound and all(type(n) is not int or least <= n < 2**63 for n in found.values()), part, name, "format")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DossierTamperedError.at(part, name, "format") from error
    return dict[str, Any](found)


def lines_of(source: Source, folder: str, start: str) -> Iterator[tuple[str, list[bytes]]]:
    """(name, lines) of each file of a log, in order."""
    for name in source.names(folder):
        if name.startswith(folder + start):
            lines = source.read(name, bytes_max=LINES_BYTES_MAX).split(b"\n")
            require(lines.pop() == b"", "file", name, "format")
            yield name, lines


def check_batches(source: Source, logs: Logs, *, at_ms: int, real: bool) -> None:
    """Follow the chain of batches. Args: at_ms: of the dossier; real: it is no demonstration.

    Raises: DossierTamperedError: names the first bad batch, or check in it.
    """
    before, number = bytes(32), 0
    for name, lines in lines_of(source, "evidence/", "batches-"):
        at = 0
        while at < len(lines):
            number, before = logs.past("batches", number, before)
            head = read_json(lines[at], "file", name, BATCH_FIELDS | BATCH_TEXTS)
            bodies = lines[at + 1 : at + 1 + head["count"]]
            require(head["batch"] == number and len(bodies) == head["count"], "batch", number, "missing")
            before = batch_digest(head, bodies, before)
            require(before.hex() == head["digest"], "batch", number, "altered")
            require(head["at_ms"] <= at_ms, "batch", number, "late")
            require(head["mode"] == "production" or not real, "batch", number, "trial")
            checks = _checks(source, logs, head["catalogue"], number)
            logs.last = {} if head["cause"] == "loss" else logs.last
            for body in bodies:
                check_run(body, logs, checks, head["at_ms"], number)
            logs.batches[number] = Held(head["digest"], head["at_ms"], head["count"])
            logs.catalogue, logs.mode = head["catalogue"], head["mode"]
            at += 1 + head["count"]
    logs.ends["batches"] = {"last": number, "digest": before.hex()}
    logs.past("batches", number, before)


def batch_digest(head: dict[str, Any], bodies: Sequence[bytes], before: bytes) -> bytes:
    """The digest of one batch, after the one before it."""
    runs = sha256(b"".join([part for body in bodies for part in (len(body).to_bytes(4, "big"), body)])).digest()
    fields = (head["batch"], head["at_ms"], head["cause"], head["mode"])
    catalogue = bytes.fromhex(head["catalogue"])
    return sha256(canonical("hygie evidence batch v1", before, *fields, catalogue, head["count"], runs)).digest()


def _checks(source: Source, logs: Logs, digest: str, number: int) -> dict[str, Any]:
    """The checks of a batch's catalogue, by id."""
    if digest not in logs.catalogues:
        data = source.read_if_there(f"evidence/catalogues/{digest}.json", bytes_max=LINES_BYTES_MAX)
        require(data is not None and sha256(data).hexdigest() == digest, "batch", number, "catalogue")
        found = read_json(data or b"", "batch", number)
        logs.catalogues[digest] = found | {"by_id": {one["id"]: one for one in found["checks"]}}
    return dict[str, Any](logs.catalogues[digest]["by_id"])


def check_run(body: bytes, logs: Logs, checks: dict[str, Any], kept_ms: int, number: int) -> None:
    """One run against its catalogue and the one before it. Raises: DossierTamperedError."""
    run = read_json(body, "batch", number, RUN_FIELDS)
    name, last = str(run["check"]), logs.last.get(run["check"])
    require(name in checks, "run", name, "unknown", batch=number)
    since_ms = last["since_ms"] if last is not None and last["verdict"] == run["verdict"] else run["ran_ms"]
    earlier = last is None and logs.holes and run["since_ms"] <= run["ran_ms"]  # what would show it may be lost
    require(run["since_ms"] == since_ms or earlier, "run", name, "since", batch=number)
    fresh = run["fresh_until_ms"] - run["at_ms"] <= checks[name]["fresh_s"] * 1000
    require(fresh and run["at_ms"] <= run["ran_ms"] <= kept_ms, "run", name, "fresh", batch=number)
    logs.last[name] = run


def check_writes(source: Source, logs: Logs, manifest: dict[str, Any]) -> None:
    """Follow the chain of writes, and find the files that they name.

    Raises: DossierTamperedError: names the first bad write, or file.
    """
    before, number = bytes(32), 0
    versions, named = dict[tuple[str, str], int](), set[str]()
    for name, lines in lines_of(source, "registers/", "writes-"):
        require(len(lines) % 2 == 0, "file", name, "format")
        for line, body in zip(lines[::2], lines[1::2], strict=True):
            number, before = logs.past("writes", number, before)
            head = read_json(line, "file", name, WRITE_FIELDS | dict.fromkeys(WRITE_TEXTS, str))
            fields = [head[name] for name in ("write", "register", "key", "version", "at_ms", *WRITE_TEXTS[2:-1])]
            before = sha256(canonical("hygie register record v1", before, *fields, body)).digest()
            record = (head["register"], head["key"])
            require(head["write"] == number, "write", number, "missing")
            require(before.hex() == head["digest"], "write", number, "altered")
            require(head["at_ms"] <= manifest["at_ms"], "write", number, "late")
            step = head["version"] - versions.get(record, 0)
            require(step == 1 or (step > 1 and logs.holes), "write", number, "version")
            values = read_json(body, "write", number)
            for one in manifest["documents"]["fields"].get(head["register"], ()):
                named.update(_digests(values.get(one)))
            logs.writes[number] = Held(head["digest"], head["at_ms"], 1)
            versions[record] = head["version"]
    logs.ends["writes"] = {"last": number, "digest": before.hex()}
    for digest in sorted(named - set(manifest["documents"]["absent"])):
        data = source.read_if_there(f"registers/documents/{digest}", bytes_max=DOCUMENT_BYTES_MAX)
        require(data is not None, "document", digest, "absent")
        require(sha256(data or b"").hexdigest() == digest, "document", digest, "digest")
        logs.documents += 1


def _digests(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and len(one) == 64 and not set(one) - set("0123456789abcdef"):
            yield one


def check_named(log: str, logs: Logs, entries: Sequence[Named]) -> list[dict[str, Any]]:
    """Hold one log to the journal: every number is named by one entry, and is what that entry says.

    Args: log: ``batches`` or ``writes``; entries: that name it, dated up to the dossier, in the journal's order.
    Returns: numbers that the journal names and that were lost, because the log was begun again.
    Raises: DossierTamperedError: names the first batch, write or entry.
    """
    part, held = ("batch", logs.batches) if log == "batches" else ("write", logs.writes)
    gone = sum(hole["last"] - first + 1 for (of, first), hole in logs.holes.items() if of == log)
    named, end = dict[int, Named](), len(held) + gone + 2  # a number that is neither comes before
    lost, following, latest_ms = list[dict[str, Any]](), 1, 0
    for one in entries:
        require(1 <= one.first <= min(following, one.last), "entry", one.entry, "skipped")
        if one.first < following:
            lost.append({"log": log, "first": one.first, "last": following - 1, "entry": one.entry})
        named.update(dict.fromkeys(range(one.first, min(one.last + 1, end)), one))
        following = one.last + 1
    for number, kept in held.items():
        require(number < following, part, number, "unnamed")
        said = named[number]
        like = kept.at_ms == said.at_ms and (number != said.last or kept.digest == said.digest)
        counted = kept.runs if log == "batches" else said.last - said.first + 1
        require(like and said.said == counted, part, said.first, "unlike", entry=said.entry)
        require(latest_ms <= kept.at_ms, part, number, "backdated")
        latest_ms = kept.at_ms
    for number in (one for one in named if one < following and one not in held):
        declared = any(of == log and first <= number <= hole["last"] for (of, first), hole in logs.holes.items())
        require(declared, part, number, "removed", entry=named[number].entry)
    return lost
