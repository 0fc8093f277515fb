"""What is seen, held against the matrix: what no line declares is a finding; a line where nothing listens is told."""

from __future__ import annotations

from collections.abc import Iterable

from hygie.base.hardening import Proof
from hygie.proof.flows.model import OWN, Compared, Endpoint, Line, LineState, Link, Listening, MatrixFacts


def compare(facts: MatrixFacts) -> Compared:
    """Each line with its state, and what is on none."""
    states = tuple(LineState(line, _listens(line, facts), _count(line, facts.links)) for line in facts.lines)
    undeclared: list[Listening | Link] = []
    unnamed: list[Listening | Link] = []
    for place in facts.listening:
        if not any(_is_at(end, place) for line in facts.lines if _held_by(line, place) for end in line.endpoints):
            (undeclared if place.party else unnamed).append(place)
    for link in facts.links:
        if not any(_allows(line, link) for line in facts.lines):
            (undeclared if link.caller else unnamed).append(link)
    return Compared(states, tuple(undeclared), tuple(unnamed))


def said(one: Listening | Link) -> str:
    """``work → 192.0.2.1:80``, ``serve ← 0.0.0.0:8080``: names of processes and addresses, alike in all languages."""
    where = f"{one.where}:{one.port}" if one.over == "tcp" else one.where
    who = one.party if isinstance(one, Listening) else one.caller
    return f"{who or '?'} {'←' if isinstance(one, Listening) else '→'} {where}"


def _listens(line: Line, facts: MatrixFacts) -> Proof:
    """Whether something listens at one of its endpoints on this machine; unknown where this machine cannot tell."""
    if line.called not in OWN or not line.endpoints:
        return "unknown"
    if any(_is_at(end, place) for end in line.endpoints for place in facts.listening):
        return "yes"
    local = all(end.over == "unix" for end in line.endpoints) or line.at == "host"
    return "no" if local else "unknown"


def _held_by(line: Line, place: Listening) -> bool:
    """The process that answers, or ``hygie up``, which opens the port and hands it over."""
    return place.party in {"", line.called} or (place.party == "administration" and line.at == "host")


def _count(line: Line, links: Iterable[Link]) -> int:
    return sum(link.count for link in links if link.caller and _allows(line, link))


def _allows(line: Line, link: Link) -> bool:
    if link.caller and line.caller not in {link.caller, "any"}:
        return False
    if not link.caller and not link.ours:
        return False
    return any(_reaches(end, link) for end in line.endpoints)


def _reaches(end: Endpoint, link: Link) -> bool:
    if end.over != link.over:
        return False
    if end.over == "unix":
        return link.where.startswith(end.name) if end.name.endswith("/") else link.where == end.name
    return any(port == link.port and address in {"", link.where} for address, port in end.addresses)


def _is_at(end: Endpoint, place: Listening) -> bool:
    if end.over != place.over:
        return False
    if end.over == "unix":
        return place.where == end.name
    return any(port == place.port and address in {"", place.where} for address, port in end.addresses)
