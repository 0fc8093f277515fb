"""A real installation to break: each test breaks one thing, looks, sees its check red, and mends what it broke."""

from __future__ import annotations

import asyncio
import json
import os
import signal
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
from hygie.probes.status import judge_platform
from hygie.proof.model import Finding
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, pids


@dataclass
class Broken:
    """An installation, what its checks say, and ways to break it."""

    made: Installation

    def finding(self, check: str) -> Finding:
        """What one check says now."""
        return self.findings()[check]

    def findings(self) -> dict[str, Finding]:
        """What every check says now."""

        async def look() -> dict[str, Finding]:
            async with open_house(self.made.data) as house:
                results = await judge_platform(house)
            return {finding.check.id: finding for one in results for finding in one.findings}

        return asyncio.run(look())

    def verdict(self, check: str) -> str:
        """Its verdict."""
        return self.finding(check).verdict.value

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
