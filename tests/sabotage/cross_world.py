"""A host and its platform that agree on everything, so that each sabotage makes them disagree on one thing.

Registers are written by the real engine; accounts, rights, environments, drills, backups and erasures are rows of the
real database, read by the real probes. Facts of the network, of keys, of disks and of the journal are given.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import psycopg

from hygie import __version__
from hygie.app import House, opened
from hygie.availability import store as minutes_kept
from hygie.availability.minutes import LOCAL, MINUTE_MS, UP, Run
from hygie.base.settings import Settings, default_settings
from hygie.database.cluster import Dsns
from hygie.evaluation import take_snapshot
from hygie.gate.rights import rights_key
from hygie.patching.model import PatchFacts, Vulnerability
from hygie.patching.store import Feed
from hygie.probes import rows
from hygie.proof.cross.checks import cross_checks
from hygie.proof.cross.model import Look, judge_cross
from hygie.proof.cross.published import inputs_of
from hygie.proof.documents.pages import GUARANTEES, TRANSFERS, make_page, said_by
from hygie.proof.facts import (
    ActFacts,
    ActsFacts,
    DoorFacts,
    Facts,
    KeyFacts,
    PageFacts,
    StoreFacts,
    StoresFacts,
    TlsFacts,
)
from hygie.proof.model import Context, Observed, Outcome
from hygie.registers.rules import Change
from tests.unit.proof.host import CERTIFICATE, NOW, World, change, day, host, standing

NOW_MS = int(NOW.timestamp() * 1000)
DAY_MS = 86_400_000
ENVIRONMENT = b"e" * 16
CHECKS = {one.card.id: one for one in cross_checks()}
STORES = (
    *(StoreFacts(f"site:{name}", "site", f"/srv/{name}", True) for name in ("paris", "lyon", "lille")),
    StoreFacts("backup", "backup", "/srv/backup", True),
    StoreFacts("database:hygie", "database", "embedded", True),
    StoreFacts("kms", "kms", "/srv/kms", True),
    StoreFacts("port:8443", "port", "127.0.0.1:8443", False),
)


def ms(days: float) -> int:
    """The instant so many days from now."""
    return NOW_MS + int(days * DAY_MS)


def at(days: float) -> str:
    """Likewise, as registers store it."""
    return (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def people() -> list[Change]:
    """Who is there, who has left, and what they signed, learnt and read."""
    staff = ("PER-anne", "PER-paul")
    return [
        change("person", "PER-old", "left", name="Luc Petit", starts_on="2020-01-06", ends_on="2026-06-30",
               account="old", duties=["operator"]),
        change("training-session", "TRS-1", "held", held_on=day(-100)),
        *[change("training-record", f"TRR-{who}", "valid", person=who, session="TRS-1", passed_on=day(-100),
                 valid_until=day(265)) for who in staff],
        *[change("undertaking", f"UND-{who}", "signed", person=who, signed_on=day(-300), review_on=day(65))
          for who in staff],
        change("policy", "POL-1", "in-force", edition="3", readers=["staff"], key_days_max=400,
               backup_key_days_max=14, approved_on=day(-60), review_on=day(300), owner="PER-anne"),
        *[change("policy-acknowledgement", f"ACK-{who}", policy="POL-1", edition="3", person=who, read_on=day(-30))
          for who in staff],
        change("habilitation-review", "HRV-paul", "executed", account="paul", person="PER-paul", role="reader",
               reviewed_on=day(-100), reviewer="PER-anne", decision="keep", executed_on=day(-100)),
        change("habilitation-review", "HRV-old", "executed", account="old", person="PER-old", role="reader",
               environment="prod", reviewed_on=day(-200), reviewer="PER-anne", decision="withdraw",
               executed_on=day(-200)),
        change("objective", "OBJ-1", "active", frequency="monthly", starts_on=day(-200), ends_on=day(100)),
        change("indicator-value", "IVA-1", objective="OBJ-1", measured_on=day(-10)),
        change("action", "ACT-1", title="Suivre", owner="PER-anne", due_on=day(30), origin="other"),
    ]  # fmt: skip


def clients() -> list[Change]:
    """The whole file of the client."""
    contract = {
        "services": ["SVC"], "certificate": "HDS-host", "certificate_issued_on": CERTIFICATE["issued_on"],
        "certificate_renewal_on": CERTIFICATE["expires_on"], "availability": "99.5", "dmia_min": 240, "pdma_min": 120,
        "sites": ["SIT-paris", "SIT-lyon", "SIT-lille"], "suppliers": ["DC"], "incident_contact": "CON-1",
        "signed_on": day(-300), "starts_on": day(-290), "ends_on": day(700),
    }  # fmt: skip
    return [
        change("client-contact", "CON-1", roles=["appoint", "incident"], confirmed_on=day(-10),
               next_confirmation_on=day(100)),
        change("contract", "CTR-1", "signed", **contract),
        change("responsibility-matrix", "RAC-1", "accepted", service="SVC", activities=[1, 2, 3, 4, 5, 6],
               proposed_on=day(-300), accepted_on=day(-290), review_on=day(60)),
        change("processing", "PRO-1", services=["SVC"], starts_on=day(-290), review_on=day(60)),
        change("scoping", "SCO-1", for_others=True, data="health", care_context=True, short_loan=False,
               archiving_only=False, activities=[3, 4, 5, 6], actor_1="DC", actor_2="DC", subcontracts=True,
               client_specific_resources=False, concerned="yes"),
    ]  # fmt: skip


def works() -> list[Change]:
    """Assets, changes, drills, incidents and requests."""
    return [
        *[change("asset", f"AST-{name.partition(':')[0]}", "in-service", name=name, kind="volume", health_data=True,
                 source=name, site="SIT-paris", key_id="k1", services=["SVC"], owner="PER-anne", review_on=day(100))
          for name in ("backup", "database:hygie", "kms")],
        change("change", "CHG-1", "done", platform_version=__version__, done_at=at(-20), result="success",
               kind="evolution", degrading=False),
        change("change", "CHG-2", "done", kind="patch", severity="critical", published_on=day(-9), done_at=at(-5),
               result="success", cves=["CVE-2027-2"], components=["deb/openssl"], degrading=False),
        change("change", "CHG-3", "assessed", kind="patch", severity="high", published_on=day(-60), cves=["CVE-2027-3"],
               components=["pypi/lib"], exception="pas exposé", exception_until=day(20), degrading=False),
        change("intervention", "INT-1", "done", started_at=at(-15), ended_at=at(-14.9), accounts=["paul"],
               operator="PER-paul", kind="pentest", ending_accounts=["old"]),
        change("recorded-session", "SES-1", "matched", kind="ssh", account="paul", intervention="INT-1",
               started_at=at(-15), ended_at=at(-14.95)),
        change("continuity-plan", "BCP-1", "in-force", services=["SVC"], dmia_min=240, pdma_min=120, rto_min=60,
               rpo_min=60, approved_on=day(-60), review_on=day(300)),
        change("drill", "DRL-1", "reported", kind="restore", platform_report="d-1", outcome="passed",
               started_at=at(-20), ended_at=at(-19.9)),
        change("action", "ACT-2", title="Refaire", owner="PER-paul", due_on=day(20), origin="drill",
               origin_key="DRL-2"),
        change("drill", "DRL-2", "reported", kind="site-loss", platform_report="d-2", outcome="failed",
               gaps="trop long", actions=["ACT-2"], started_at=at(-40), ended_at=at(-39.9)),
        change("duty", "DUT-1", person="PER-anne", from_at=at(-0.5), to_at=at(30.4), languages=["fr"]),
        change("incident", "INC-1", "declared", detected_at=at(-0.05), declared_at=at(-0.05), lead="PER-anne",
               evidence_sha256=["ef" * 32]),
        change("violation", "VIO-1", "detected", aware_at=at(-0.1)),
        change("rights-request", "RRQ-1", "executed", right="erasure", certificate="er-1", received_on=day(-60),
               decided_on=day(-50), executed_on=day(-49), answered_on=day(-48), retention_checked=True,
               decision="grant"),
        change("rights-request", "RRQ-2", "received", received_on=day(-1), extended=False),
        change("document-delivery", "DDL-1", "delivered", tenant="chu", kind="traces", recipient_kind="client",
               asked_at=at(-12), delivered_at=at(-10)),
    ]  # fmt: skip


def certification() -> list[Change]:
    """The host's cycle until its first surveillance, and a use of the mark."""

    def event(kind: str, on: str, **fields: Any) -> Change:
        return change("certification-event", f"2026.{kind}", cycle="2026", kind=kind, on=on, **fields)

    return [
        event("application", "2025-06-02"),
        event("stage1", "2025-09-01"),
        event("stage2", "2025-11-14"),
        event("decision", "2026-01-11", outcome="granted", certificate="HDS-host", issued_on="2026-01-15",
              expires_on="2029-01-14"),
        event("surveillance1", "2026-12-01"),
        change("mark-use", "MRK-1", "approved", certificate="HDS-host", used_from=day(-30), review_on=day(300),
               faithful=True),
    ]  # fmt: skip


ROWS = """
INSERT INTO hygie.tenant VALUES ('\\x{tenant}', 'chu', 'CHU', 0);
INSERT INTO hygie.environment VALUES ('\\x{place}', '\\x{tenant}', 'prod', 'production', 'hygie_env_1', 'open', 0);
INSERT INTO hygie.account (id, kind, label, state, created_ms, ends_ms) VALUES
    ('anne', 'person', '', 'open', 0, {later}), ('paul', 'person', '', 'open', 0, {later}),
    ('old', 'person', '', 'disabled', 0, {later}),
    ('guest', 'application', '', 'open', 0, {later}),
    ('app', 'application', '', 'open', 0, {later});
INSERT INTO hygie.habilitation (id, account, environment, role, reason, approver, starts_ms, ends_ms, revoked_ms) VALUES
    ('h1', 'paul', '\\x{place}', 'reader', 'soins', 'anne', {long_ago}, {now}, NULL),
    ('h2', 'paul', '\\x{place}', 'reader', 'soins', 'anne', {month_ago}, {later}, NULL),
    ('h3', 'anne', '\\x{place}', 'privacy-officer', 'dpo', 'paul', {month_ago}, {later}, NULL),
    ('h4', 'old', '\\x{place}', 'reader', 'soins', 'anne', {long_ago}, {later}, {month_ago});
INSERT INTO hygie.token (hash, id, account, environment, created_ms, expires_ms) VALUES
    ('\\x{hash}', 't1', 'app', '\\x{place}', {month_ago}, {later});
INSERT INTO hygie.erasure (id, environment, compartment, instruction, requested_ms, unreadable_ms) VALUES
    ('er-1', '\\x{place}', '\\x00', '{{}}', {month_ago}, {month_ago});
INSERT INTO hygie.measurement (kind, at_ms, passed, facts) VALUES
    ('backup', {now} - 600000, true, '{{}}'),
    ('sessions', {now} - 60000, true, '{{"recorded": 0}}'),
    ('drill-site-loss', {now} - 40 * 86400000::bigint, false, '{{"drill": "d-2", "rto_s": 900.0, "rpo_s": 0.0}}'),
    ('drill-restore', {now} - 20 * 86400000::bigint, true, '{{"drill": "d-1", "rto_s": 600.0, "rpo_s": 300.0}}');
UPDATE hygie.availability_since SET since_ms = {now} - 1500 * 60000::bigint;
"""


class OneKey:
    """A KMS whose one key is given: no row of this world has a MAC."""

    async def create_tenant(self, tenant: bytes) -> None:
        """It is there."""

    async def create_environment(self, tenant: bytes, environment: bytes) -> None:
        """Likewise."""

    async def environment_key(self, tenant: bytes, environment: bytes, purpose: str) -> bytes:
        """The key of everything."""
        return b"k" * 32


@dataclass
class Scene:
    """A world to break. made: facts that no row tells; settings: of the platform."""

    world: World
    settings: Settings = field(default_factory=default_settings)
    version: str = __version__
    made: dict[str, object] = field(default_factory=lambda: dict(MADE))

    def sql(self, statement: str, *parameters: object) -> None:
        """As the owner of the database."""
        with psycopg.connect(self.world.dsns.owner, autocommit=True) as owner:
            owner.execute(statement.encode(), parameters)

    def measured(self, kind: str, days: float, *, passed: bool, **facts: object) -> None:
        """A run, so many days from now."""
        self.sql("INSERT INTO hygie.measurement (kind, at_ms, passed, facts) VALUES (%s, %s, %s, %s)",
                 kind, ms(days), passed, json.dumps(facts))  # fmt: skip

    def answered(self, minutes: int) -> None:
        """So many minutes until now in which the client's door answered, as the working process keeps them."""
        now = NOW_MS // MINUTE_MS

        async def keep() -> None:
            key = await rights_key(cast("Any", OneKey()))
            async with opened(self.world.dsns.sealer, size=1) as records, records.transaction() as connection:
                await minutes_kept.keep(connection, key, ENVIRONMENT, [Run(LOCAL, now - minutes, now, UP, "200")])

        asyncio.run(keep())

    def change_fact(self, name: str, **fields: Any) -> None:
        """One made fact with other values."""
        self.made[name] = replace(cast("Any", self.made[name]), **fields)

    def verdict(self, check: str) -> Outcome:
        """What one check says now."""
        return judge_cross(CHECKS[check], self.look())[0]

    def change_page(self, kind: str, **fields: Any) -> None:
        """One published page otherwise."""
        known = cast("tuple[PageFacts, ...]", self.made["pages"])
        self.made["pages"] = tuple(replace(one, **fields) if one.kind == kind else one for one in known)

    def publish(self) -> None:
        """Both pages, as the registers have them now: their files, their records, their entries."""
        found = []
        for rank, (kind, state) in enumerate(((TRANSFERS, "online"), (GUARANTEES, "made")), 1):
            page = make_page(kind, inputs_of(self.look()))
            registers = self.world.registers
            digests = [registers.put_document(f"{kind}.{end}", "text/plain", content)
                       for end, content in (("html", page.html), ("json", page.data))]  # fmt: skip
            self.world.write(change("publication", f"PUB-{rank}", state, kind=kind, form=page.form or None,
                                    as_of=at(0), page=digests[0], data=digests[1], online_on=day(0)))  # fmt: skip
            found.append(PageFacts(kind, *digests, said_by(page.data), self.world.clock.ms))
        self.made["pages"] = tuple(found)

    def look(self) -> Look:
        parts = {"dsns": self.world.dsns, "clock": self.world.clock, "settings": self.settings, "kms": OneKey()}
        house = cast("House", SimpleNamespace(**parts))
        facts = Facts()
        for name in ("access", "places", "erasures", "drills", "measurements", "availability"):
            value = asyncio.run(getattr(rows, f"probe_{name}")(house))
            setattr(facts, name, Observed(value, at_ms=self.world.clock.ms))
        for name, made in self.made.items():
            setattr(facts, name, Observed(made, at_ms=self.world.clock.ms))
        with psycopg.connect(self.world.dsns.console) as console:
            tenants = [row[0] for row in console.execute("SELECT name FROM hygie.tenant").fetchall()]
        registers = self.world.registers
        snapshot = take_snapshot(registers, self.world.clock.ms, tenants)
        context = Context(self.settings, self.world.clock.ms)
        return Look(snapshot, facts, context, self.version, registers.documents())


PATCHING = PatchFacts(
    ms(-0.02), 500, "ab" * 32, unread=(), uncovered=(), code="",
    feeds=tuple(Feed(slot, "ab" * 32, "cd" * 32, 9, ms(-1), ms(-0.5)) for slot in ("Bitnami", "PyPI", "tracker")),
    vulnerabilities=(
        Vulnerability("CVE-2027-1", "deb/curl", "7.8-1", "7.9-1", "critical", 9.8, ms(-6), ms(-1)),
        Vulnerability("CVE-2027-3", "pypi/lib", "1.0", "1.1", "high", None, ms(-60), ms(-1)),
        Vulnerability("CVE-2027-4", "deb/tar", "1-1", "", "low", None, None, ms(-400)),
    ),
)  # fmt: skip
MADE: dict[str, object] = {
    "patching": PATCHING,
    "tls": TlsFacts("127.0.0.1:8443", "TLSv1.3", "x", True, True, False, ms(200), {}),
    "keys": KeyFacts("file", False, "passphrase", True, False, ms(-300), 1, ms(-200), ms(-5), "elsewhere"),
    "stores": StoresFacts(STORES, 1, whole=True, closed=0),
    "acts": ActsFacts(
        (ActFacts("platform:upgrade", ms(-20), "local:paul", "done"),
         ActFacts("backup:restore", ms(-15), "local:paul", "done")), ms(-35), whole=True,
        traces=(ActFacts("journal:export", ms(-11), "local:paul", "done", "chu", "yes"),),
    ),
    "archives": frozenset({"ef" * 32}),
    "door": DoorFacts("probe", 7, ms(0), 401, 401, 403, 403, 403, same_answer=True, french=True),
}  # fmt: skip


@contextmanager
def scene(dsns: Dsns) -> Iterator[Scene]:
    """The sound world, on a fresh database."""

    def records() -> list[Change]:
        return [*host(), *people(), *clients(), *works(), *certification()]

    with standing(dsns, records) as world:
        found = Scene(world)
        spans = {"now": NOW_MS, "later": ms(100), "month_ago": ms(-30), "long_ago": ms(-400)}
        names = {"tenant": (b"t" * 16).hex(), "place": ENVIRONMENT.hex(), "hash": "00" * 32}
        found.sql(ROWS.format(**spans, **names))
        found.answered(1500)
        found.publish()
        world.clock.ms += 120_000  # what was published has settled
        yield found
