"""tech-5: a process that dumps core, an exposed key file, tokens that outlive, a default account, no second factor."""

from __future__ import annotations

import os
import secrets
import sys
import time
from dataclasses import replace

import msgspec

from hygie.base.identity_providers import IdentityProviderSettings
from hygie.base.layout import DataFolder
from hygie.base.settings import default_settings, load_settings
from hygie.probes.machine import probe_processes
from hygie.proof.checks import tech_5
from hygie.proof.facts import ProcessesFacts, ProcessFacts, RightsFacts
from hygie.proof.model import Context
from tests.acceptance.test_people import activate
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=1)
GOOD = ProcessFacts("kms", 7, 1000, 0, "no", no_new_privileges=True)
NOBODY = 65_534
# A process that protects itself as those of Hygie do, but for one thing; not as root, where nothing could be told.
HARDENED = """
import ctypes, os, resource, time
from hygie.base import hardening
{before}
if os.geteuid() == 0:
    os.setgid({nobody})
    os.setuid({nobody})
hardening.harden_process()
{after}
print("ready", flush=True)
time.sleep(60)
"""
DUMPABLE = "ctypes.CDLL(None).prctl(4, ctypes.c_ulong(1), 0, 0, 0)"
CORES = "resource.setrlimit(resource.RLIMIT_CORE, (1, 1)); resource.setrlimit = lambda *_: None"
NEW_RIGHTS = "hardening.PR_SET_NO_NEW_PRIVS = hardening.PR_GET_DUMPABLE"


def test_a_process_that_dumps_core_is_red(broken: Broken) -> None:
    if os.geteuid() != 0:
        broken.green("tech-5.processes")
    user = NOBODY if os.geteuid() == 0 else None
    with broken.impostor("/bin/sh", "-c", "echo ready; sleep 60; :", user=user):
        broken.red("tech-5.processes", "Memory exposed: serve")
    for before, after, verdict, word in (
        ("", "", "satisfied", "hardened"),
        ("", DUMPABLE, "unsatisfied", "Memory exposed: serve"),
        (CORES, "", "unsatisfied", "Memory exposed: serve"),
        (NEW_RIGHTS, "", "unsatisfied", "May gain rights: serve"),
    ):
        with broken.impostor(sys.executable, "-c", HARDENED.format(before=before, after=after, nobody=NOBODY)) as pid:
            outcome = tech_5.processes(_shown(broken, pid), CONTEXT)
        assert (outcome.verdict.value, word in outcome.why.en) == (verdict, True), outcome

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


def _shown(broken: Broken, pid: int) -> ProcessesFacts:
    """What the probe shows of one process."""
    folder = DataFolder.at(broken.made.data)
    facts = probe_processes(load_settings(folder.path), folder)
    found = tuple(one for one in facts.processes if one.pid == pid)
    return ProcessesFacts(found, ("serve",), cores_piped=False)


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


def test_a_right_written_by_sql_is_red(broken: Broken) -> None:
    broken.compare()
    broken.green("tech-5.grants")
    broken.sql("UPDATE hygie.habilitation SET ends_ms = ends_ms + 1 WHERE account = 'app'")
    try:
        broken.red("tech-5.grants", "habilitation")
    finally:
        broken.sql("UPDATE hygie.habilitation SET ends_ms = ends_ms - 1 WHERE account = 'app'")
    broken.green("tech-5.grants")
    # A withdrawn one brought back whole, with the MAC of before: only the journal tells.
    id_ = broken.made.hygie("token", "create", "app", "chu", "prod")["id"]
    broken.sql("CREATE TABLE hygie.held AS SELECT id, mac FROM hygie.token")
    broken.made.hygie("token", "revoke", id_)
    back = "UPDATE hygie.token k SET revoked_ms = NULL, mac = h.mac FROM hygie.held h WHERE h.id = k.id AND k.id = %s"
    broken.sql(back, id_)
    try:
        broken.compare()
        broken.red("tech-5.grants", f"token {id_} (withdrawn)")
    finally:
        broken.sql("UPDATE hygie.token SET revoked_ms = 1, mac = NULL WHERE id = %s", id_)
        broken.sql("DROP TABLE hygie.held")
    broken.compare()
    broken.green("tech-5.grants")
    for at_ms in (None, 1):
        fact = RightsFacts(1, (), at_ms, complete=False, wrong=())
        assert tech_5.grants(fact, CONTEXT).verdict.value == "unknown"


def test_a_break_glass_that_nobody_reviewed_is_red(broken: Broken) -> None:
    broken.green("tech-5.exceptions")
    id_, now_ms = secrets.token_hex(8), int(time.time() * 1000)
    broken.sql(
        "INSERT INTO hygie.break_glass SELECT %s, 'app', id, substr(id, 1, 16), 'on-call', %s, %s, sha256(id)"
        " FROM hygie.environment LIMIT 1",
        id_,
        now_ms - 71 * 3_600_000,
        now_ms,
    )
    broken.green("tech-5.exceptions")  # there is an hour left
    broken.red("tech-5.exceptions", id_, ahead_days=0.1)
    broken.sql("INSERT INTO hygie.break_glass_review VALUES (%s, 'justified', 'rita', 1, '', sha256('x'))", id_)
    broken.red("tech-5.exceptions", id_, ahead_days=0.1)  # nobody reviewed it: somebody wrote so
    broken.sql("DELETE FROM hygie.break_glass_review")
    broken.sql("DELETE FROM hygie.break_glass")
    assert broken.finding("tech-5.exceptions", ahead_days=0.1).verdict.value == "satisfied"
    raised = broken.made.hygie("raise", "INT-1", "--reason", "a fire", "--emergency")["request"]
    broken.red("tech-5.exceptions", raised, ahead_days=3.1)
    own = broken.made.hygie("request", "withdraw", raised, exit_code=10)  # that would answer for oneself
    assert own["error"]["code"] == "HYG-165"
    broken.sql("INSERT INTO hygie.decision VALUES (%s, 'refused', 'sara', 1, '', sha256('x'))", raised)
    broken.red("tech-5.exceptions", raised, ahead_days=3.1)
    broken.sql("DELETE FROM hygie.decision")
    broken.sql("DELETE FROM hygie.request")
    assert broken.finding("tech-5.exceptions", ahead_days=3.1).verdict.value == "satisfied"


def test_a_campaign_that_is_late_is_red(broken: Broken) -> None:
    broken.green("tech-5.reviews")
    campaign, now_ms = secrets.token_hex(8), int(time.time() * 1000)
    broken.sql(
        "INSERT INTO hygie.review_campaign SELECT %s, tenant, id, 'revue 2026', 'rita', %s, %s, sha256(id)"
        " FROM hygie.environment WHERE name = 'prod'",
        campaign,
        now_ms,
        now_ms + 3_600_000,
    )
    broken.green("tech-5.reviews")  # there is an hour left
    broken.red("tech-5.reviews", "revue 2026", ahead_days=0.1)
    broken.sql(
        "INSERT INTO hygie.right_review SELECT %s, id, 'keep', 'rita', 1, '', sha256('x') FROM hygie.habilitation",
        campaign,
    )
    broken.red("tech-5.reviews", "revue 2026", ahead_days=0.1)  # nobody decided: somebody wrote so
    broken.sql("DELETE FROM hygie.right_review")
    broken.sql("DELETE FROM hygie.review_campaign")
    assert broken.finding("tech-5.reviews", ahead_days=0.1).verdict.value == "satisfied"


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


def test_an_administrator_without_a_second_factor_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-5.second-factor") == "unknown", "nobody administers through Hygie yet"
    why = ("--reason", "tests", "--approver", "chief")
    broken.made.hygie("account", "create", "olga", "--days", "30")
    broken.made.hygie("habilitation", "grant", "olga", "chu", "prod", "--role", "rights-officer", *why)
    broken.red("tech-5.second-factor", "Without a second factor: olga")
    how = ("--how", "in person", "--delivered-by", "anne")
    activate(broken.made, "olga", broken.made.hygie("person", "enrol", "olga", *how)["code"])
    broken.green("tech-5.second-factor")
    broken.sql("UPDATE hygie.authenticator SET revoked_ms = 1 WHERE account = 'olga' AND kind = 'totp'")
    broken.red("tech-5.second-factor", "olga")
    broken.sql(
        "INSERT INTO hygie.authenticator SELECT 'forged', account, 'webauthn', value, label, delivered_how,"
        " delivered_by, created_ms, ends_ms, NULL, sha256('x') FROM hygie.authenticator"
        " WHERE account = 'olga' AND kind = 'password'"
    )
    broken.red("tech-5.second-factor", "olga")  # no key was registered: somebody wrote so
    broken.sql("DELETE FROM hygie.authenticator WHERE id = 'forged'")
    broken.sql("UPDATE hygie.authenticator SET revoked_ms = NULL WHERE account = 'olga' AND kind = 'totp'")
    broken.green("tech-5.second-factor")
    token = broken.made.hygie("token", "create", "olga", "chu", "prod")
    broken.red("tech-5.second-factor", "A token is enough to enter: olga")
    broken.made.hygie("token", "revoke", token["id"])
    broken.green("tech-5.second-factor")
    fact, one = broken.facts("access").access.value, {"account": "olga", "kind": "oidc"}
    assert fact is not None
    linked = replace(fact, authenticators=(one,))
    provider = IdentityProviderSettings(name="k", label="K", issuer="https://k", client_id="c", secret="s")
    for levels, verdict in (((), "unsatisfied"), (("mfa",), "satisfied")):
        asked = msgspec.structs.replace(provider, acr=levels)
        settings = msgspec.structs.replace(CONTEXT.settings, identity_providers=(asked,))
        assert tech_5.second_factor(linked, replace(CONTEXT, settings=settings)).verdict.value == verdict
    broken.made.hygie("account", "disable", "olga")
    assert broken.verdict("tech-5.second-factor") == "unknown"
