"""The clients: processes of their own, so that their cost is not mistaken for the server's.

Importers post Bundles one after the other over blocking connections.  Readers share one process that waits on all its
connections at once: a thread each would measure Python's lock.
"""

from __future__ import annotations

import multiprocessing
import queue
import selectors
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from benchmarks.client import Connection, Target, percentile
from benchmarks.data import Bundle, Stored
from benchmarks.installation import Installation
from benchmarks.machine import Cost

PROCESSES = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")  # a fork starts in no time
START_S_MAX = 60.0
WARM_S = 1.0


@dataclass(slots=True)
class Outcome:
    """What one client did in its time. latencies_s: of each request; operations: resources imported, or requests."""

    operations: int = 0
    elapsed_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    stored: Stored = field(default_factory=Stored)
    answers: dict[int, bytes] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.elapsed_s if self.elapsed_s else 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Several clients together, with what the installation's processes spent meanwhile."""

    outcomes: list[Outcome]
    cost: Cost

    @property
    def operations(self) -> int:
        """Of all clients."""
        return sum(one.operations for one in self.outcomes)

    @property
    def rate(self) -> float:
        """Sum of the clients' rates: each counts up to its own last answer."""
        return sum(one.rate for one in self.outcomes)

    @property
    def latencies_s(self) -> list[float]:
        """Of all requests."""
        return [latency for one in self.outcomes for latency in one.latencies_s]

    def percentile_ms(self, share: float) -> float:
        """A latency, in milliseconds."""
        return percentile(self.latencies_s, share) * 1000

    @property
    def stored(self) -> Stored:
        """What the importers left."""
        whole = Stored()
        for one in self.outcomes:
            whole.merge(one.stored)
        return whole

    def cpu_us(self) -> dict[str, float]:
        """CPU microseconds an operation, by group of processes, the clients' own included."""
        spent = dict(self.cost.groups) | {"clients": sum(one.cpu_s for one in self.outcomes)}
        return {name: seconds / self.operations * 1e6 for name, seconds in spent.items()} if self.operations else {}

    @property
    def others_share(self) -> float:
        """Part of the machine that work of others took: neither the installation's nor the clients'."""
        if not self.cost.groups:
            return 0.0
        clients_s = sum(one.cpu_s for one in self.outcomes)
        return max(0.0, Cost(self.cost.elapsed_s, {}, self.cost.others_s - clients_s).others_share)


Client = tuple[Callable[..., None], tuple[Any, ...]]


def importer(target: Target, bundles: Sequence[Bundle], *, seconds: float | None, fresh: bool = True) -> Client:
    """A client that posts Bundles in turn for some seconds, or each once (``seconds`` None).

    fresh: a connection for each Bundle, so that hosting processes share the work as the kernel spreads connections.
    """
    return _import, (target, list(bundles), seconds, fresh)


def reader(
    target: Target, paths: Sequence[str], *, connections: int, seconds: float, proof: bytes, warm_s: float = WARM_S
) -> Client:
    """A client that asks for paths in turn over several connections. proof: bytes that every right answer holds."""
    return _read, (target, list(paths), connections, seconds, proof, warm_s)


def measure(installation: Installation, clients: Sequence[Client]) -> Measured:
    """Start clients together once all are ready, and wait for them.

    Raises: RuntimeError: a client failed: a rate of wrong answers is no rate.
    """
    gate = PROCESSES.Barrier(len(clients) + 1)
    answers = PROCESSES.Queue()
    with _processes(clients, gate, answers) as processes:
        try:
            gate.wait(START_S_MAX)
        except Exception as error:
            raise RuntimeError("a client could not start") from error
        before = installation.meter().sample()
        outcomes: list[Outcome] = []
        while len(outcomes) < len(processes):
            outcomes.append(answer_of(answers, processes))
        cost = installation.meter().since(before)
    return Measured(outcomes, cost)


def answer_of(answers: Any, processes: Sequence[BaseProcess]) -> Any:
    """What a child sends. Raises: RuntimeError: its own error, or that it ended without a word."""
    while True:
        try:
            answer = answers.get(timeout=2.0)
        except queue.Empty:
            if any(process.exitcode for process in processes):
                raise RuntimeError("a client ended without an answer") from None
            continue
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer


def import_all(
    installation: Installation, target: Target, bundles: Sequence[Bundle], *, clients: int = 2, fresh: bool = True
) -> Measured:
    """Import each Bundle once, shared between clients."""
    shares = [bundles[rank::clients] for rank in range(clients)]
    return measure(installation, [importer(target, share, seconds=None, fresh=fresh) for share in shares if share])


@contextmanager
def _processes(clients: Sequence[Client], gate: Any, answers: Any) -> Iterator[list[BaseProcess]]:
    processes = [
        PROCESSES.Process(target=_main, args=(act, gate, answers, *rest), daemon=True) for act, rest in clients
    ]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def _main(act: Callable[..., None], gate: Any, answers: Any, *rest: Any) -> None:
    try:
        act(gate, answers, *rest)
    except BaseException as error:
        answers.put(f"{type(error).__name__}: {error}")
        gate.abort()


def _import(gate: Any, answers: Any, target: Target, bundles: list[Bundle], seconds: float | None, fresh: bool) -> None:
    connection = Connection(target)
    gate.wait(START_S_MAX)
    outcome = Outcome()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    turn = 0
    while turn < len(bundles) if seconds is None else time.perf_counter() - began_s < seconds:
        bundle = bundles[turn % len(bundles)]
        sent_s = time.perf_counter()
        if fresh and turn:
            connection.close()
            connection = Connection(target)
        status, answer = connection.post("", bundle.raw)
        if status != 200:
            raise RuntimeError(f"import: {status} {answer[:500]!r}")
        outcome.latencies_s.append(time.perf_counter() - sent_s)
        outcome.operations += bundle.count
        outcome.answers[turn] = answer
        turn += 1
    outcome.elapsed_s = time.perf_counter() - began_s
    outcome.cpu_s = time.process_time() - cpu_s
    connection.close()
    for rank, answer in outcome.answers.items():
        outcome.stored.take(bundles[rank % len(bundles)], answer)
    outcome.answers = {}
    answers.put(outcome)


class _Wire:
    """One connection of a reader."""

    def __init__(self, target: Target) -> None:
        self._connection = Connection(target)
        self.socket: ssl.SSLSocket = self._connection.socket
        self.socket.setblocking(False)
        self._data = b""
        self.sent_s = 0.0

    def ask(self, path: str) -> None:
        """Send one request."""
        self._data = b""
        self.sent_s = time.perf_counter()
        self.socket.send(self._connection.request(path))  # far smaller than any buffer

    def answer(self) -> tuple[int, bytes] | None:
        """Status and body once all of it has come."""
        try:
            while True:
                more = self.socket.recv(262_144)
                if not more:
                    raise ConnectionError("closed")
                self._data = self._data + more if self._data else more
        except ssl.SSLWantReadError:
            pass
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return None
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        return (int(head[9:12]), body) if len(body) >= length else None


def _read(
    gate: Any,
    answers: Any,
    target: Target,
    paths: list[str],
    connections: int,
    seconds: float,
    proof: bytes,
    warm_s: float,
) -> None:
    selector = selectors.DefaultSelector()
    wires = [_Wire(target) for _ in range(connections)]
    for wire in wires:
        selector.register(wire.socket, selectors.EVENT_READ, wire)
    turns = _turns(paths)
    _drive(selector, wires, turns, warm_s, proof)
    gate.wait(START_S_MAX)
    cpu_s = time.process_time()
    outcome = _drive(selector, wires, turns, seconds, proof)
    outcome.cpu_s = time.process_time() - cpu_s
    answers.put(outcome)


def _turns(paths: list[str]) -> Iterator[str]:
    while True:
        yield from paths


def _drive(
    selector: selectors.BaseSelector, wires: Sequence[_Wire], turns: Iterator[str], seconds: float, proof: bytes
) -> Outcome:
    """Keep every connection busy for some seconds; the last answers are waited for."""
    outcome = Outcome()
    began_s = time.perf_counter()
    until_s = began_s + seconds
    for wire in wires:
        wire.ask(next(turns))
    waiting = len(wires)
    while waiting:
        for key, _ in selector.select(30.0) or _silence():
            wire = key.data
            answered = wire.answer()
            if answered is None:
                continue
            now_s = time.perf_counter()
            status, body = answered
            if status != 200 or proof not in body:
                raise RuntimeError(f"read: {status} {body[:500]!r}")
            outcome.latencies_s.append(now_s - wire.sent_s)
            outcome.operations += 1
            if now_s < until_s:
                wire.ask(next(turns))
            else:
                waiting -= 1
    outcome.elapsed_s = time.perf_counter() - began_s
    return outcome


def _silence() -> list[Any]:
    raise RuntimeError("no answer for 30 s")
