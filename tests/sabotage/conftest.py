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
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from hygie.app import dsns_of, open_house
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from hygie.probes.status import judge_one
from hygie.proof.model import Finding
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, pids


@dataclass
class Broken:
    """An installation, what its checks say, and ways to break it."""

    made: Installation

    def finding(self, check: str) -> Finding:
        """What one check says now."""

        async def look() -> Finding:
            async with open_house(self.made.data) as house:
                return await judge_one(house, check)

        return asyncio.run(look())

    def verdict(self, check: str) -> str:
        """Its verdict."""
        return self.finding(check).verdict.value

    def red(self, check: str, word: str = "") -> None:
        """It is red now, and says why with this word."""
        finding = self.finding(check)
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

    @contextmanager
    def impostor(self, *program: str, user: int | None = None) -> Iterator[None]:
        """A process that the system shows as a hosting process of this installation."""
        words = ("hygie", "--data", str(self.made.data), "serve")
        started = subprocess.Popen([*program, *words], stdout=subprocess.PIPE, user=user, cwd="/")
        try:
            assert started.stdout is not None
            started.stdout.readline()
            yield
        finally:
            started.kill()
            started.communicate()

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
