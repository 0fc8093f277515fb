"""tech-5: a process that dumps core, an exposed key file, a ghost token, no second factor."""

from __future__ import annotations

from dataclasses import replace

from hygie.base.settings import default_settings
from hygie.proof.checks import tech_5
from hygie.proof.facts import ProcessesFacts, ProcessFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=1)
GOOD = ProcessFacts("kms", 7, 1000, 0, "no", 0, no_new_privileges=True)


def test_a_process_that_dumps_core_is_red() -> None:
    def judged(one: ProcessFacts, expected: tuple[str, ...] = ("kms",)) -> str:
        return tech_5.processes(ProcessesFacts((one,), expected, cores_piped=False), CONTEXT).verdict.value

    assert judged(GOOD) == "satisfied"
    assert judged(replace(GOOD, core_limit=-1)) == "unsatisfied"
    assert judged(replace(GOOD, traceable="yes")) == "unsatisfied"
    assert judged(replace(GOOD, uid=0)) == "unsatisfied"
    assert judged(replace(GOOD, traceable="unknown")) == "unknown"
    assert judged(GOOD, ("kms", "work")) == "unsatisfied"


def test_an_exposed_key_file_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-5.files") == "satisfied"
    secret = broken.made.data / "tls" / "server.key"
    secret.chmod(0o644)
    try:
        finding = broken.finding("tech-5.files")
        assert finding.verdict.value == "unsatisfied"
        assert "server.key" in finding.outcome.why.en
    finally:
        secret.chmod(0o600)


def test_a_live_token_of_a_closed_account_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-5.rights") == "satisfied"
    broken.sql("UPDATE hygie.account SET state = 'disabled' WHERE id = 'app'")
    try:
        assert broken.verdict("tech-5.rights") == "unsatisfied"
    finally:
        broken.sql("UPDATE hygie.account SET state = 'open' WHERE id = 'app'")


def test_no_second_factor_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-5.second-factor") == "unsatisfied"
