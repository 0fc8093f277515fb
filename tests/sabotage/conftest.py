"""A real installation to break: each test breaks one thing, looks, sees its check red, and mends what it broke."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hygie.app import dsns_of, open_house, opened
from hygie.availability.minutes import MINUTE_MS
from hygie.base.clock import SystemClock
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from hygie.logkeeping import LogKeeper
from hygie.probes.canaries.watch import CanaryWatch
from hygie.probes.gather import gather
from hygie.proof.facts import Facts
from hygie.proof.model import Finding
from hygie.upkeep import Comparison, run_canaries
from hygie.uptime import Uptime
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, pids
from tests.sabotage.one_check import judge_one

PUBLISHED_S_MAX = 90.0  # the working process publishes every two seconds


class Ahead(SystemClock):
    """A clock that stands some days later."""

    def __init__(self, days: float) -> None:
        super().__init__()
        self._ahead_ms = int(days * 86_400_000)

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms


@dataclass
class Broken:
    """An installation, what its checks say, and ways to break it."""

    made: Installation

    def finding(self, check: str, *, ahead_days: float = 0.0) -> Finding:
        """What one check says now, or would say so many days later."""

        async def look() -> Finding:
            async with open_house(self.made.data) as house:
                return await judge_one(replace(house, clock=Ahead(ahead_days)) if ahead_days else house, check)

        return asyncio.run(look())

    def facts(self, *names: str) -> Facts:
        """These facts, as they are seen now."""

        async def look() -> Facts:
            async with open_house(self.made.data) as house:
                return await gather(house, names)

        return asyncio.run(look())

    def verdict(self, check: str) -> str:
        """Its verdict."""
        return self.finding(check).verdict.value

    def red(self, check: str, word: str = "", *, ahead_days: float = 0.0) -> None:
        """It is red now (or so many days later), and says why with this word."""
        finding = self.finding(check, ahead_days=ahead_days)
        assert finding.verdict.value == "unsatisfied", finding.outcome
        assert word in finding.outcome.why.en, finding.outcome

    def green(self, check: str, *, within_s: float = 0.0) -> None:
        """It is green now, or soon."""
        deadline = time.monotonic() + within_s
        while (finding := self.finding(check)).verdict.value != "satisfied":
            assert time.monotonic() < deadline, finding.outcome
            time.sleep(0.3)

    def sql(self, statement: str, *parameters: object) -> None:
        """As the owner of the database."""
        folder = DataFolder.at(self.made.data)
        with psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True) as owner:
            owner.execute(statement.encode(), parameters)

    def measured(self, kind: str, *, passed: bool, facts: dict[str, Any], age_s: float = 0) -> None:
        """A run as a loop would have recorded it, newer than all others."""
        self.sql(
            "INSERT INTO hygie.measurement (kind, at_ms, passed, facts) VALUES (%s, %s, %s, %s)",
            kind,
            int((time.time() - age_s) * 1000),
            passed,
            json.dumps(facts),
        )

    def compare(self) -> None:
        """One turn of the comparison that the working process makes every minute."""

        async def main() -> None:
            async with (
                open_house(self.made.data) as house,
                opened(house.dsns.sealer, size=1) as records,
                opened(house.dsns.hosting, size=1) as pool,
            ):
                await Comparison(house, records, pool).run()

        asyncio.run(main())

    def seek_canaries(self) -> None:
        """One turn of the search for canaries that the working process makes, by one that has read nothing yet."""

        async def main() -> None:
            async with (
                open_house(self.made.data) as house,
                opened(house.dsns.sealer, size=1) as records,
                opened(house.dsns.hosting, size=1) as pool,
            ):
                await run_canaries(house, records, CanaryWatch(house, pool, "local:test"))

        asyncio.run(main())

    def evaluated(self) -> None:
        """One evaluation kept, published by the working process, and both logs compared with the journal."""
        self.made.hygie("posture", "--now")
        end = time.monotonic() + PUBLISHED_S_MAX
        while not self.published():
            assert time.monotonic() < end, "the evaluation is not published"
            time.sleep(0.1)
        self.compare_logs()
        self.green("tech-3.logs", within_s=90)

    def published(self) -> bool:
        """Whether the sites have every evaluation that the database has."""
        folder = DataFolder.at(self.made.data)
        with psycopg.connect(dsns_of(load_settings(folder.path), folder).owner) as owner:
            row = owner.execute(
                "SELECT seq = (SELECT max(last) FROM hygie.proof_object WHERE log = 'batches')"
                " FROM hygie_proof.head WHERE log = 'batches'"
            ).fetchone()
        return bool(row and row[0])

    def compare_logs(self) -> None:
        """One turn of the comparison of logs, by a process that has heard nothing yet."""

        async def main() -> None:
            async with open_house(self.made.data) as house, opened(house.dsns.sealer, size=1) as records:
                await LogKeeper(house, records, "local:test").compare()

        asyncio.run(main())

    def count_minutes(self) -> None:
        """One turn of the probe that the working process makes in each minute."""

        async def main() -> None:
            async with open_house(self.made.data) as house, opened(house.dsns.sealer, size=1) as records:
                await Uptime(house, records, "local:test").turn(house.clock.now_ms() // MINUTE_MS)

        asyncio.run(main())

    @contextmanager
    def without(self, kind: str) -> Iterator[None]:
        """No measurement of a kind, as if nobody had ever made one; those that were there come back at the end."""
        self.sql("CREATE TABLE hygie.kept_measurement AS SELECT * FROM hygie.measurement WHERE kind = %s", kind)
        self.sql("DELETE FROM hygie.measurement WHERE kind = %s", kind)
        try:
            yield
        finally:
            self.sql("INSERT INTO hygie.measurement OVERRIDING SYSTEM VALUE TABLE hygie.kept_measurement")
            self.sql("DROP TABLE hygie.kept_measurement")

    @contextmanager
    def yesterday(self) -> Iterator[None]:
        """The last published evaluation, and what came since, taken out of the database by its owner, the head with
        it; put back at the end."""
        kept = ("batch", "run", "head")
        for table in kept:
            self.sql(f"CREATE TABLE hygie.kept_{table} AS TABLE hygie_proof.{table}")
        try:
            published = "(SELECT max(last) FROM hygie.proof_object WHERE log = 'batches')"
            self.sql(f"DELETE FROM hygie_proof.run WHERE batch >= {published}")
            self.sql(f"DELETE FROM hygie_proof.batch WHERE seq >= {published}")
            self.sql(
                "UPDATE hygie_proof.head h SET (seq, at_ms, digest) = (SELECT seq, at_ms, digest FROM"
                " (SELECT seq, at_ms, digest FROM hygie_proof.batch UNION ALL"
                " SELECT 0, 0, decode(repeat('00', 32), 'hex')) AS found ORDER BY seq DESC LIMIT 1)"
                " WHERE log = 'batches'"
            )
            yield
        finally:
            for table in ("batch", "run"):
                self.sql(f"INSERT INTO hygie_proof.{table} TABLE hygie.kept_{table} ON CONFLICT DO NOTHING")
            self.sql(
                "UPDATE hygie_proof.head h SET (seq, at_ms, digest) = (k.seq, k.at_ms, k.digest)"
                " FROM hygie.kept_head k WHERE k.log = h.log"
            )
            for table in kept:
                self.sql(f"DROP TABLE hygie.kept_{table}")

    @contextmanager
    def impostor(self, *program: str, user: int | None = None) -> Iterator[int]:
        """A process that the system shows as a hosting process of this installation: its pid."""
        words = ("hygie", "--data", str(self.made.data), "serve")
        started = subprocess.Popen(
            [*program, *words], stdout=subprocess.PIPE, user=user, cwd="/", start_new_session=True
        )
        try:
            assert started.stdout is not None
            assert started.stdout.readline(), "it died at once"
            yield started.pid
        finally:
            os.killpg(started.pid, signal.SIGKILL)  # what it started too: that would hold its output open
            started.communicate()

    @contextmanager
    def altered_snapshot(self) -> Iterator[None]:
        """The newest manifest of the backup target with one byte changed."""
        manifest = max((self.made.data / "backup" / "snapshots").iterdir())
        held = manifest.read_bytes()
        manifest.write_bytes(held.replace(b"a", b"b", 1))
        try:
            yield
        finally:
            manifest.write_bytes(held)

    @contextmanager
    def certificate(self, *, days: float, foreign: bool) -> Iterator[None]:
        """The server's pair replaced by one that ends in ``days``, signed by its own authority or by another."""
        tls = self.made.data / "tls"
        held = {name: (tls / name).read_bytes() for name in ("server.pem", "server.key")}
        authority = x509.load_pem_x509_certificate((tls / "ca.pem").read_bytes())
        signer = serialization.load_pem_private_key((tls / "ca.key").read_bytes(), password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(authority.subject)
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(key if foreign else signer, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        try:
            (tls / "server.key").write_bytes(secret)
            (tls / "server.pem").write_bytes(made.public_bytes(pem))
            yield
        finally:
            for name, data in held.items():
                (tls / name).write_bytes(data)

    @contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """A service that is there and does nothing."""
        numbers = pids(self.made)[service]
        for number in numbers:
            os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            for number in numbers:
                os.kill(number, signal.SIGCONT)


@pytest.fixture(scope="session")
def broken() -> Iterator[Broken]:
    """One for all sabotages of a test process."""
    with attacked() as made:
        made.hygie("environment", "create", "chu", "second", "--kind", "test")
        yield Broken(made)
