"""tech-5: a process that dumps core, an exposed key file, tokens that outlive, a default account, no second factor."""

from __future__ import annotations

import os
from dataclasses import replace

from hygie.base.settings import default_settings
from hygie.proof.checks import tech_5
from hygie.proof.facts import ProcessesFacts, ProcessFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=1)
GOOD = ProcessFacts("kms", 7, 1000, 0, "no", 0, no_new_privileges=True)
NOBODY = 65_534


def test_a_process_that_dumps_core_is_red(broken: Broken) -> None:
    if os.geteuid() != 0:
        broken.green("tech-5.processes")
    user = NOBODY if os.geteuid() == 0 else None
    with broken.impostor("/bin/sh", "-c", "echo ready; sleep 60; :", user=user):
        broken.red("tech-5.processes", "Memory exposed: serve")

    def judged(one: ProcessFacts, expected: tuple[str, ...] = ("kms",), *, piped: bool = False) -> str:
        return tech_5.processes(ProcessesFacts((one,), expected, cores_piped=piped), CONTEXT).verdict.value

    assert judged(GOOD) == "satisfied"
    assert judged(replace(GOOD, core_limit=-1)) == "unsatisfied"
    assert judged(replace(GOOD, traceable="yes")) == "unsatisfied"
    assert judged(replace(GOOD, uid=0)) == "unsatisfied"
    assert judged(replace(GOOD, no_new_privileges=False)) == "unsatisfied"
    assert judged(replace(GOOD, traceable="unknown")) == "unknown"
    assert judged(GOOD, piped=True) == "unknown"
    assert judged(GOOD, ("kms", "work")) == "unsatisfied"


def test_an_exposed_key_file_is_red(broken: Broken) -> None:
    broken.green("tech-5.files")
    for name in ("kms/root.kms", "tls/server.key", "witness/witness.key"):
        path = broken.made.data / name
        path.chmod(0o644)
        try:
            broken.red("tech-5.files", name)
        finally:
            path.chmod(0o600)
    broken.green("tech-5.files")


def test_a_live_token_of_a_closed_account_is_red(broken: Broken) -> None:
    broken.green("tech-5.rights")
    broken.sql("UPDATE hygie.account SET state = 'disabled' WHERE id = 'app'")
    try:
        broken.red("tech-5.rights", "app")
    finally:
        broken.sql("UPDATE hygie.account SET state = 'open' WHERE id = 'app'")
    broken.sql("UPDATE hygie.habilitation SET revoked_ms = 1 WHERE account = 'app'")
    try:
        broken.red("tech-5.rights", "last right: app")
    finally:
        broken.sql("UPDATE hygie.habilitation SET revoked_ms = NULL WHERE account = 'app'")
    token = broken.made.hygie("token", "create", "app", "chu", "prod", "--days", "365")
    broken.red("tech-5.rights", "too long")
    broken.made.hygie("token", "revoke", token["id"])
    broken.green("tech-5.rights")


def test_a_default_account_is_red(broken: Broken) -> None:
    broken.green("tech-5.accounts")
    broken.made.hygie("account", "create", "admin", "--kind", "person")
    broken.red("tech-5.accounts", "admin")
    broken.made.hygie("account", "disable", "admin")
    broken.sql("CREATE ROLE backdoor LOGIN")
    try:
        broken.red("tech-5.accounts", "backdoor")
    finally:
        broken.sql("DROP ROLE backdoor")
    broken.green("tech-5.accounts")


def test_no_second_factor_is_red(broken: Broken) -> None:
    broken.red("tech-5.second-factor")
