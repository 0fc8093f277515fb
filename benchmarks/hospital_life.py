"""Thirty days of a hospital of 300 beds as its journal tells them: made up from a seed, by habits and not by rules.

Nurses read the patients of their ward, doctors those they follow, secretaries look people up, laboratories write
results; people forget passwords, the glass is broken for somebody who comes by night, operators work by tickets.
Nothing here is an attack: what a rule says of it is a false alarm.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from hygie.watch.events import JOURNAL, Event, Value, clock_fields

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
BEDS, WARDS = 300, 12
STAY_DAYS = 6
ENVIRONMENT, TENANT = "e" * 32, "c" * 32
BEGUN_MS = 1_790_000_000_000 // DAY_MS * DAY_MS


@dataclass(frozen=True)
class Worker:
    """Somebody with a shift. hours: when he works (UTC); reads: records a shift, on average; wide: beyond his ward."""

    name: str
    hours: tuple[int, int]
    reads: int
    ward: int
    wide: bool = False


def staff() -> list[Worker]:
    """Some 430 people of whom two in three are there on a day."""
    found = []
    for ward in range(WARDS):
        found += [Worker(f"nurse-{ward}-{n}", (6, 13), 55, ward) for n in range(9)]
        found += [Worker(f"evening-{ward}-{n}", (13, 20), 50, ward) for n in range(8)]
        found += [Worker(f"night-{ward}-{n}", (20, 29), 28, ward) for n in range(5)]
        found += [Worker(f"doctor-{ward}-{n}", (7, 18), 45, ward) for n in range(7)]
        found += [Worker(f"secretary-{ward}-{n}", (7, 16), 70, ward, wide=True) for n in range(3)]
    found += [Worker(f"emergency-{n}", (0, 24), 60, n % WARDS, wide=True) for n in range(30)]
    found += [Worker(f"archive-{n}", (7, 16), 160, 0, wide=True) for n in range(3)]
    return found


def life(seed: int, days: int = 30) -> Iterator[Event]:
    """The events, in order."""
    draw = random.Random(seed)
    events: list[tuple[int, dict[str, Value]]] = []
    for day in range(days):
        begun_ms = BEGUN_MS + day * DAY_MS
        events += _wards(draw, day, begun_ms)
        events += _machines(draw, begun_ms)
        events += _troubles(draw, begun_ms)
    events.sort(key=lambda one: one[0])
    for rank, (at_ms, fields) in enumerate(events):
        yield Event(JOURNAL, rank, at_ms, {"source": JOURNAL} | fields | clock_fields(at_ms))


def _person(name: str, action: str, **more: Value) -> dict[str, Value]:
    return {
        "action": action, "outcome": "done", "kind": "access", "account": name, "login": name, "account_kind": "person",
        "tenant": TENANT, "environment": ENVIRONMENT, "country": "FR", "country_how": "declared", **more,
    }  # fmt: skip


def _wards(draw: random.Random, day: int, begun_ms: int) -> list[tuple[int, dict[str, Value]]]:
    found: list[tuple[int, dict[str, Value]]] = []
    for worker in staff():
        if draw.random() > 0.66:
            continue
        first, last = worker.hours
        beds = [f"p-{worker.ward}-{bed}-{(day + bed) // STAY_DAYS}" for bed in range(BEDS // WARDS)]
        for _ in range(max(0, int(draw.gauss(worker.reads, worker.reads / 4)))):
            at_ms = begun_ms + int(draw.uniform(first, last) * HOUR_MS)
            subject = f"past-{draw.randrange(40_000)}" if worker.wide and draw.random() < 0.6 else draw.choice(beds)
            action = draw.choices(("object:read", "object:search", "object:update"), (70, 24, 6))[0]
            found.append((at_ms, _person(worker.name, action, subject=subject)))
        if draw.random() < 0.03:  # somebody of another ward, asked for by mistake
            for _ in range(draw.randrange(1, 5)):
                at_ms = begun_ms + int(draw.uniform(first, last) * HOUR_MS)
                found.append((at_ms, _person(worker.name, "object:read", outcome="refused") | {"outcome": "refused"}))
    return found


def _machines(draw: random.Random, begun_ms: int) -> list[tuple[int, dict[str, Value]]]:
    """The laboratory, imaging and the patient administration write all day."""
    found = []
    for name, number in (("laboratory", 9_000), ("imaging", 1_500), ("admissions", 3_000)):
        for _ in range(number):
            at_ms = begun_ms + int(draw.triangular(0, 24, 10) * HOUR_MS)
            fields = _person(name, "object:create", subject=f"p-{draw.randrange(400)}") | {
                "account_kind": "application"
            }
            found.append((at_ms, fields))
    return found


def _troubles(draw: random.Random, begun_ms: int) -> list[tuple[int, dict[str, Value]]]:
    """Passwords forgotten, an old token of a screen, the glass broken, operators at work, mostly by day."""
    found: list[tuple[int, dict[str, Value]]] = []

    def at(first: float, last: float) -> int:
        return begun_ms + int(draw.uniform(first, last) * HOUR_MS)

    for _ in range(draw.randrange(0, 4)):
        who = f"nurse-{draw.randrange(WARDS)}-{draw.randrange(9)}"
        found.append((at(6, 20), _person(who, "person:lock", address=f"10.1.{draw.randrange(60)}.7", kind="security")))
    if draw.random() < 0.15:
        screen, begin = f"10.2.0.{draw.randrange(200)}", at(6, 20)
        refused = {"action": "session:refused", "outcome": "refused", "kind": "security", "address": screen}
        found += [(begin + n * 8_000, dict(refused)) for n in range(draw.randrange(5, 60))]
    if draw.random() < 0.3:
        who = f"doctor-{draw.randrange(WARDS)}-{draw.randrange(7)}"
        found.append((at(0, 24), _person(who, "break-glass:open", kind="security")))
    for _ in range(draw.randrange(0, 6)):
        entry: dict[str, Value] = {
            "action": draw.choice(("limit:set", "habilitation:grant", "account:create", "backup:run")),
            "outcome": "done", "kind": "administration", "account": "local:paul", "login": "paul",
            "detail.habilitation": f"h{draw.randrange(1 << 40):x}",
        }  # fmt: skip
        found.append((at(7, 17) if draw.random() < 0.97 else at(20, 23), entry))
    if draw.random() < 0.05:
        ask: dict[str, Value] = {"action": "approval:ask", "detail.act": "right:raise", "kind": "administration"}
        found.append(
            (at(0, 24), ask | {"account": "local:paul", "login": "paul", "detail.emergency": "yes", "outcome": "done"})
        )
    if draw.random() < 0.05:
        found.append((at(7, 17), {"action": "platform:start", "outcome": "done", "kind": "platform"}))
    if draw.random() < 0.04:  # a conference abroad
        who = f"doctor-{draw.randrange(WARDS)}-{draw.randrange(7)}"
        found.append(
            (at(8, 18), _person(who, "object:read", subject="p-1") | {"country": "BE", "country_how": "inferred"})
        )
    return found
