"""Who really listens and who is really connected, by party: TCP and unix sockets of this installation.

The program of a process says its party, and so does that of what started it: a mistake or a stray program is found, not
an intruder who takes the name of a process of Hygie (the KMS asks the kernel, not the name).
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from hygie.app import House, opened
from hygie.base.layout import DataFolder
from hygie.probes import sockets
from hygie.probes.machine import SERVICES, account_of, hygie_processes, parent_of, postmaster_of, words_of
from hygie.probes.sockets import TcpSocket, UnixSocket
from hygie.proof.flows.declared import declared_lines
from hygie.proof.flows.model import Line, Link, Listening, MatrixFacts

ELSEWHERE = ("kms", "witness")  # may run on a data folder of their own, under their own account
_KEYS_PUBLISHED = "SELECT value FROM hygie.client_key WHERE kind = 'jwks_url' AND revoked_ms IS NULL AND ends_ms > %s"
_LIVE_TCP = (sockets.ESTABLISHED, sockets.ASKING)


async def probe_matrix(house: House) -> MatrixFacts:
    """The matrix of this installation and what is seen. Raises: OSError: the system shows no socket (not Linux)."""
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        rows = await (await connection.execute(_KEYS_PUBLISHED, (house.clock.now_ms(),))).fetchall()
    jwks = [row[0] for row in rows]
    lines = await asyncio.to_thread(declared_lines, house.settings, house.folder, jwks=jwks)
    return await asyncio.to_thread(look, lines, house.folder)


def look(lines: tuple[Line, ...], folder: DataFolder, *, proc: Path = Path("/proc")) -> MatrixFacts:
    """What is seen now, beside the lines. Blocks. Raises: OSError."""
    before = sockets.unix_sockets(), list(sockets.tcp_sockets(proc))
    who = _Who.seen(folder, proc)
    after = sockets.unix_sockets(), list(sockets.tcp_sockets(proc))
    # A socket of which no process is known may have just ended: only what is still there is told.
    unix = [one for one in before[0] if one in set(after[0])]
    tcp = [one for one in before[1] if one in set(after[1])]
    named = {end.name for line in lines for end in line.endpoints if end.over == "unix" and line.called != "system"}
    links = [*_tcp_links(tcp, who), *_unix_links(unix, named, who)]
    counted = Counter(links)
    return MatrixFacts(
        lines,
        tuple(dict.fromkeys([*_tcp_listening(tcp, who), *_unix_listening(unix, named, who)])),
        tuple(replace(link, count=number) for link, number in sorted(counted.items(), key=lambda item: str(item[0]))),
        tuple(sorted(who.unreadable)),
    )


@dataclass(frozen=True, slots=True)
class _Who:
    """Whose a socket is. held: inode → process; party: process → party; accounts: of what could not be looked into.

    elsewhere: process → service, of those that run on another data folder: a KMS under an account of its own, or those
    of another installation."""

    held: dict[str, int]
    party: dict[int, str]
    elsewhere: dict[int, str]
    unreadable: frozenset[str]
    accounts: frozenset[int]
    proc: Path

    @classmethod
    def seen(cls, folder: DataFolder, proc: Path) -> _Who:
        party, elsewhere = parties(folder, proc=proc)
        unreadable, accounts = set(), set()
        for pid, name in party.items():
            try:
                next(iter((proc / str(pid) / "fd").iterdir()), None)
            except PermissionError:
                unreadable.add(name)
                accounts.add(account_of(proc / str(pid)))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
        return cls(sockets.holders(proc), party, elsewhere, frozenset(unreadable), frozenset(accounts - {-1}), proc)

    def of(self, inode: str) -> str | None:
        """The party that holds a socket, the name of a stranger, or None when no process is known to hold it."""
        pid = self.held.get(inode)
        if pid is None:
            return None
        if pid in self.party:
            return self.party[pid]
        try:
            return f"process {pid} {(self.proc / str(pid) / 'comm').read_text().strip()}"
        except OSError:
            return f"process {pid}"

    def answers(self, inode: str) -> str:
        """Who holds a socket that the matrix declares; nothing when nobody is known to."""
        return self.elsewhere.get(self.held.get(inode, 0)) or self.of(inode) or ""

    def is_ours(self, inode: str) -> bool:
        """Whether a party holds it."""
        return self.held.get(inode, 0) in self.party


def parties(folder: DataFolder, *, proc: Path = Path("/proc")) -> tuple[dict[int, str], dict[int, str]]:
    """Process → party of this installation, what a process starts being of its party; and process → service, of those
    that keep keys or witness on another data folder."""
    known: dict[int, str | None] = {}
    elsewhere: dict[int, str] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            words = words_of(entry)
            if "hygie" in words[:3]:
                ours, service = _command(words, folder)
                known[int(entry.name)] = "administration" if ours else None
                if service in ELSEWHERE and not ours:
                    elsewhere[int(entry.name)] = service
    for pid, name in hygie_processes(folder, proc=proc).items():
        known[pid] = "administration" if name == "up" else name
    postmaster = postmaster_of(folder, proc=proc)
    if postmaster is not None:
        known[postmaster] = "postgres"
    parents = {int(entry.name): parent_of(entry) for entry in proc.iterdir() if entry.name.isdigit()}
    found: dict[int, str] = {}
    for pid in parents:
        at: int | None = pid
        while at and at not in known:
            at = parents.get(at)
        party = known.get(at) if at else None
        if party is not None:
            found[pid] = party
    found.setdefault(os.getpid(), "administration")  # who looks
    return found, elsewhere


def _command(words: list[str], folder: DataFolder) -> tuple[bool, str]:
    """Whether a command of Hygie is for this installation, and the service that it runs, if one."""
    told = [word.removeprefix("--data=") for word in words if word.startswith("--data=")]
    told += [following for word, following in pairwise(words) if word == "--data"]
    ours = all(not one.startswith("/") or os.path.realpath(one) == os.path.realpath(folder.path) for one in told)
    return ours, next((word for word in words if word in SERVICES), "")


def _tcp_listening(tcp: Iterable[TcpSocket], who: _Who) -> Iterator[Listening]:
    for one in tcp:
        if one.state == sockets.LISTENING:
            if who.is_ours(one.inode):
                yield Listening(who.of(one.inode) or "", "tcp", one.address, one.port)
            elif one.inode not in who.held and one.uid in who.accounts:
                yield Listening("", "tcp", one.address, one.port)


def _unix_listening(unix: Iterable[UnixSocket], named: set[str], who: _Who) -> Iterator[Listening]:
    for one in unix:
        if one.state == sockets.UNIX_LISTENING and one.name:
            if one.name in named and one.inode in who.held:
                yield Listening(who.answers(one.inode), "unix", one.name)
            elif who.is_ours(one.inode):
                yield Listening(who.of(one.inode) or "", "unix", one.name)
            elif one.inode not in who.held and (one.name in named or one.uid in who.accounts):
                yield Listening("", "unix", one.name)


def _tcp_links(tcp: Iterable[TcpSocket], who: _Who) -> Iterator[Link]:
    """Connections of the parties: one that came in is a client's, whoever it is."""
    found = list(tcp)
    ports = {one.port for one in found if one.state == sockets.LISTENING}
    for one in found:
        if one.state not in _LIVE_TCP:
            continue
        unseen = one.inode not in who.held and one.uid in who.accounts and one.inode != "0"
        if not (who.is_ours(one.inode) or unseen):
            continue
        if one.port in ports:
            yield Link("" if unseen else "client", "tcp", one.address, one.port)
        else:
            yield Link("" if unseen else who.of(one.inode) or "", "tcp", one.far_address, one.far_port)


def _unix_links(unix: Iterable[UnixSocket], named: set[str], who: _Who) -> Iterator[Link]:
    """Connections to what is declared, whoever calls, and those that a party has with anything that has a name."""
    found = list(unix)
    uid_of = {one.inode: one.uid for one in found}
    for one in found:
        if one.state != sockets.UNIX_ESTABLISHED or not one.name or not one.peer:
            continue
        caller = who.of(one.peer)
        if one.name in named:
            yield Link(caller or "", "unix", one.name, ours=uid_of.get(one.peer) in who.accounts)
        elif who.is_ours(one.peer):
            yield Link(caller or "", "unix", one.name)
