"""tech-2: a role that reads its neighbour, a door that tells, a port nobody declared."""

from __future__ import annotations

from hygie.base.settings import default_settings
from hygie.proof.checks import tech_2
from hygie.proof.facts import DoorFacts, FlowFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(port=9999), now_ms=1)


def test_a_role_that_reads_another_environment_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-2.database") == "satisfied"
    broken.sql("GRANT USAGE ON SCHEMA hygie_env_2 TO hygie_env_1")
    broken.sql("GRANT SELECT ON hygie_env_2.object TO hygie_env_1")
    try:
        finding = broken.finding("tech-2.database")
        assert finding.verdict.value == "unsatisfied"
        assert "hygie_env_2" in finding.outcome.why.en
    finally:
        broken.sql("REVOKE ALL ON SCHEMA hygie_env_2 FROM hygie_env_1")
        broken.sql("REVOKE ALL ON hygie_env_2.object FROM hygie_env_1")


def test_a_door_that_tells_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-2.door") == "satisfied"
    for fact in (
        DoorFacts("a", 2, 1, 401, 404, same_answer=False, metadata_status=200, metadata_ms=1.0),
        DoorFacts("a", 2, 1, 200, 401, same_answer=True, metadata_status=200, metadata_ms=1.0),
        DoorFacts("a", 2, 1, 401, 401, same_answer=False, metadata_status=200, metadata_ms=1.0),
    ):
        assert tech_2.door(fact, CONTEXT).verdict.value == "unsatisfied"


def test_an_undeclared_port_is_red() -> None:
    ours = ("serve", "127.0.0.1", 9999)
    assert tech_2.network(FlowFacts((ours,), ()), CONTEXT).verdict.value == "satisfied"
    other = ("postgres", "0.0.0.0", 5432)
    assert tech_2.network(FlowFacts((ours, other), ()), CONTEXT).verdict.value == "unsatisfied"
    assert tech_2.network(FlowFacts((), ()), CONTEXT).verdict.value == "unknown"
