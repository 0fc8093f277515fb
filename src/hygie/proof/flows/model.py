"""The words of flows: a declared line, what listens, what is connected, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hygie.base.hardening import Proof
from hygie.proof.model import Text

Over = Literal["tcp", "unix", "files", "program"]

OWN = ("serve", "work", "watch", "kms", "witness", "postgres", "administration")  # who runs for this installation
PARTIES = {
    "client": Text("applications clientes", "client applications"),
    "serve": Text("hygie serve", "hygie serve"),
    "work": Text("hygie work", "hygie work"),
    "watch": Text("hygie watch", "hygie watch"),
    "kms": Text("hygie kms", "hygie kms"),
    "witness": Text("témoin", "witness"),
    "postgres": Text("PostgreSQL", "PostgreSQL"),
    "administration": Text("ligne de commande", "command line"),
    "timestamp": Text("autorité d'horodatage", "timestamp authority"),
    "application": Text("application (ses clés)", "application (its keys)"),
    "channel": Text("canaux d'alerte", "alert channels"),
    "soc": Text("SOC", "SOC"),
    "sites": Text("sites", "sites"),
    "backup": Text("cible de sauvegarde", "backup target"),
    "system": Text("système", "system"),
    "any": Text("tous", "all"),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one is called. name: as people read it, ``127.0.0.1:8443`` or a path; addresses: (address, port) that the
    name resolves to, ``""`` for any address when nobody knows; none for what is not TCP."""

    over: Over
    name: str
    addresses: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the matrix on this installation. at: the setting's word; endpoints: none when nothing is set."""

    caller: str
    called: str
    at: str
    endpoints: tuple[Endpoint, ...]
    purpose: Text


@dataclass(frozen=True, slots=True)
class Listening:
    """Something that listens. party: of this installation; nothing: nobody could look, only the account is known."""

    party: str
    over: Over
    where: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """One connection. caller: a party, ``process PID name`` for a stranger, or nothing when nobody could look.

    where: path of the socket, or the address called, with its ``port``; count: how many alike; ours: whether who could
    not be looked at acts under an account of this installation.
    """

    caller: str
    over: Over
    where: str
    port: int = 0
    count: int = 1
    ours: bool = True


@dataclass(frozen=True, slots=True)
class MatrixFacts:
    """The declared lines, and what is seen. unreadable: processes that nobody but root may look into."""

    lines: tuple[Line, ...]
    listening: tuple[Listening, ...]
    links: tuple[Link, ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LineState:
    """One line beside what is seen. listens: whether what it calls answers there; links: connections that it allows."""

    line: Line
    listens: Proof
    links: int


@dataclass(frozen=True, slots=True)
class Compared:
    """The matrix held against what is seen. undeclared: seen and on no line; unnamed: the same, where nobody could
    tell who."""

    states: tuple[LineState, ...]
    undeclared: tuple[Listening | Link, ...]
    unnamed: tuple[Listening | Link, ...]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One thing tried from one zone on another. outcome: ``refused``, ``allowed``, ``untried``, or a code."""

    zone: str
    target: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """What was tried across zones; controls: what each identity may do, tried to see that it was there to be refused;
    environments: how many are open."""

    environments: int
    controls: tuple[Crossing, ...]
    attempts: tuple[Crossing, ...]


@dataclass(frozen=True, slots=True)
class ApartFacts:
    """What open environments share, which is nothing. tried: keys and packs held against those of another environment;
    own: packs that open under their own key, of so many ``packs``; faults: what is shared, by names."""

    environments: int
    tried: int
    packs: int
    own: int
    faults: tuple[str, ...]
