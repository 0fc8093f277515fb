"""What a paper is made from, and the list of papers. Pure: equal inputs give equal bytes, without clock or randomness.

Source: docs/formats/dossier.md v1, "Papers".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hygie.base.errors import Language
from hygie.registers.chain import RecordVersion
from hygie.registers.schema import Schemas


@dataclass(frozen=True, slots=True)
class SitePlace:
    """One site. operator: who runs its datacentre."""

    name: str
    country: str
    city: str
    operator: str


@dataclass(frozen=True, slots=True)
class Installation:
    """Facts of the installation. origin: its name in the journal; version: of Hygie; rpo_s, rto_s: as promised."""

    origin: str
    version: str
    production: bool
    sites: Sequence[SitePlace]
    allowed_countries: Sequence[str]
    rpo_s: int
    rto_s: int


@dataclass(frozen=True, slots=True)
class Day:
    """Where checks stood at the end of one UTC day. day: ISO date; by_verdict: checks by the verdict of their last run,
    whatever its age."""

    day: str
    by_verdict: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Batches:
    """The evaluations up to the date. count: how many; runs: of checks, in all; first_ms, last_ms: instants of the
    first and last one, 0 when there is none; by_verdict: runs by verdict; history: days that had an evaluation, oldest
    first, the last year at most."""

    count: int
    runs: int
    first_ms: int
    last_ms: int
    by_verdict: Mapping[str, int]
    history: Sequence[Day] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known at the date of a dossier.

    posture, catalogue: as ``proof.posture`` and ``proof.catalogue`` make them; records: by register, the newest version
    of each record then, by key; schemas: of these registers; demonstration: every page must say so; at_ms: the date.
    """

    at_ms: int
    language: Language
    demonstration: bool
    posture: Mapping[str, Any]
    catalogue: Mapping[str, Any]
    records: Mapping[str, Sequence[RecordVersion]]
    schemas: Schemas
    batches: Batches
    installation: Installation


Paper = Callable[[Inputs], bytes]
PAPERS: dict[str, Paper] = {}  # by name of the file under ``papers/``; filled when this package is imported
