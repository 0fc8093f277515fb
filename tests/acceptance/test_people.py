"""People by the command line: a code delivered, activation, sign-in material listed, withdrawn, recovered by two."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

import psycopg

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from hygie.gate.totp import STEP_S
from tests.acceptance.conftest import Installation
from tests.telephone import code_at

PASSWORD = "cheval pile agrafe 9 correct"
HOW = ("--how", "en main propre", "--delivered-by", "paul.martin")


def typed(made: Installation, *words: str, lines: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """A command whose secrets come on its standard input."""
    line = [sys.executable, "-m", "hygie", "--data", str(made.data), "--lang", "en", "--json", *words]
    return subprocess.run(line, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120, check=False)


def activate(made: Installation, name: str, code: str, password: str = PASSWORD) -> bytes:
    """The person at a terminal. Returns the TOTP secret."""
    line = [sys.executable, "-m", "hygie", "--data", str(made.data), "--lang", "en", "person", "activate", name]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(f"{code}\n{password}\n")
        process.stdin.flush()
        while not (text := process.stderr.readline()).startswith("otpauth://"):
            assert text, "it ended before it showed a secret"
        secret = base64.b32decode(parse_qs(urlsplit(text.strip()).query)["secret"][0])
        process.stdin.write(f"{code_at(secret, int(time.time() * 1000))}\n")
        process.stdin.close()
        told = process.stderr.read()
        assert process.wait(60) == 0, told
    return secret


def next_code(secret: bytes, *, last: dict[bytes, int]) -> str:
    """A code that was not shown yet."""
    step = max(int(time.time()) // STEP_S, last.get(secret, 0) + 1)
    while step > int(time.time()) // STEP_S + 1:
        time.sleep(1)
    last[secret] = step
    return code_at(secret, step * STEP_S * 1000)


def person(made: Installation, name: str, role: str) -> bytes:
    made.hygie("account", "create", name, "--days", "30")
    made.hygie("habilitation", "grant", name, "chu", "prod", "--role", role, "--reason", "tests", "--approver", "chief")
    return activate(made, name, made.hygie("person", "enrol", name, *HOW)["code"])


def test_people_are_enrolled_and_recovered_by_the_command_line(installation: Installation) -> None:
    last: dict[bytes, int] = {}
    secrets = {"marie": person(installation, "marie", "caregiver")}
    secrets |= {name: person(installation, name, "rights-officer") for name in ("ada", "bob")}
    for secret in secrets.values():
        last[secret] = int(time.time()) // STEP_S  # the code that was shown at the activation
    rows = installation.hygie("person", "list")
    live = sorted((one["account"], one["kind"]) for one in rows if one["revoked_ms"] is None)
    assert live == [(name, kind) for name in ("ada", "bob", "marie") for kind in ("password", "totp")]
    assert {(one["delivered_how"], one["delivered_by"]) for one in rows} == {("en main propre", "paul.martin")}
    assert all(not {"value", "mac"} & set(one) for one in rows)

    refused = installation.hygie("person", "enrol", "marie", *HOW, exit_code=10)
    assert refused["error"]["code"] == "HYG-169"
    words = ("person", "recover", "marie", "--reason", "telephone lost", "--by", "ada", "--by", "bob", *HOW)
    lines = (PASSWORD, next_code(secrets["ada"], last=last), PASSWORD, "000000")
    alone = typed(installation, *words, lines=lines)
    assert (alone.returncode, "HYG-267" in alone.stderr) == (20, True), alone.stderr
    lines = (PASSWORD, next_code(secrets["ada"], last=last), PASSWORD, next_code(secrets["bob"], last=last))
    both = typed(installation, *words, lines=lines)
    assert both.returncode == 0, both.stderr
    activate(installation, "marie", json.loads(both.stdout)["code"], "une autre phrase, longue")
    assert installation.hygie("journal", "reconcile")["wrong"] == []
    (recovered,) = installation.hygie(
        "journal", "show", "--action", "account:recover", "--outcome", "done", "--limit", "1"
    )
    assert recovered["detail"]["asked_by"] == "ada"


def test_a_row_brought_back_whole_is_named_by_the_journal(installation: Installation) -> None:
    """Kept in a dump with its MAC, it is what Hygie wrote: only the journal knows that it was withdrawn."""
    installation.hygie("account", "create", "luc", "--days", "30")
    linked = installation.hygie("person", "link", "luc", "https://auth.example/realms/chu", "luc", *HOW)[
        "authenticator"
    ]
    folder = DataFolder.at(installation.data)
    with psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True) as owner:
        (mac,) = owner.execute("SELECT mac FROM hygie.authenticator WHERE id = %s", (linked,)).fetchone() or (b"",)
        installation.hygie("person", "revoke", linked)
        owner.execute("UPDATE hygie.authenticator SET revoked_ms = NULL, mac = %s WHERE id = %s", (mac, linked))
        refused = installation.hygie("journal", "reconcile", exit_code=50)["error"]
        assert f"authenticator {linked} (withdrawn)" in refused["message"]
        owner.execute("UPDATE hygie.authenticator SET revoked_ms = 1, mac = NULL WHERE id = %s", (linked,))
    assert installation.hygie("journal", "reconcile")["wrong"] == []


def test_requests_are_made_and_answered_at_the_terminal_by_who_proves_himself(installation: Installation) -> None:
    """Officers of a client decide on a right without any door, the host's security on a rotation. Then nobody changes
    anything without a right that is raised."""
    made, last = installation, dict[bytes, int]()
    secrets = {}
    for name in ("sara", "sam", "rita", "remi"):
        made.hygie("account", "create", name, "--days", "30", *(("--tenant", "chu") if name[0] == "r" else ()))
        secrets[name] = activate(made, name, made.hygie("person", "enrol", name, *HOW)["code"])
        last[secrets[name]] = int(time.time()) // STEP_S
    made.hygie("account", "create", "late", "--tenant", "chu")
    made.hygie("environment", "create", "chu", "ward", "--kind", "production")
    named = ("--reason", "tests", "--approver", "chief")
    for name in ("rita", "remi"):
        made.hygie("habilitation", "grant", name, "chu", "ward", "--role", "rights-officer", *named)
    for name in ("sara", "sam"):
        made.hygie("habilitation", "grant", name, "hygie", "platform", "--role", "security-officer", *named)

    def said(name: str, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
        lines = (PASSWORD, code or next_code(secrets[name], last=last))
        return typed(made, "request", *words, "--as", name, lines=lines)

    what = ("--what", "account=late", "--what", "role=reader", "--what", "days=30")
    asked = said("rita", "ask", "habilitation:grant", "chu", "ward", *what, "--reason", "renfort")
    id_ = json.loads(asked.stdout)["request"]
    alone = said("rita", "approve", id_, "chu", "ward")
    assert (alone.returncode, "HYG-264" in alone.stderr) == (20, True), alone.stderr
    assert said("sara", "approve", id_, "chu", "ward").returncode == 20  # the host decides on no right of a client
    assert said("remi", "approve", id_, "chu", "ward").returncode == 0
    granted = made.wait_for(lambda: [one for one in made.hygie("habilitation", "list") if one["account"] == "late"])
    assert (granted[0]["id"], granted[0]["approver"]) == (id_, "remi")

    rotation = ("rotate", "environment", "chu", "prod")
    what = ("--what", "level=environment", "--what", "tenant=chu", "--what", "environment=prod")
    id_ = made.hygie("request", "ask", "key:rotate", *what, "--reason", "key seen, ticket 42")["request"]
    assert made.hygie(*rotation, exit_code=20)["error"]["code"] == "HYG-263"
    wrong = said("sara", "approve", id_, code="000000")
    assert (wrong.returncode, "HYG-267" in wrong.stderr) == (20, True), wrong.stderr
    assert said("sam", "approve", id_).returncode == 0
    raised = made.hygie("raise", "INT-2026-42", "--reason", "rotation", "--minutes", "10")["request"]
    assert said("sara", "approve", raised).returncode == 0
    assert made.hygie(*rotation)["rotated"]
    assert made.hygie(*rotation, exit_code=20)["error"]["code"] == "HYG-263"
    answered = made.hygie("journal", "show", "--action", "rotation:approve", "--limit", "1")
    assert (answered[0]["account"], answered[0]["authentication"]) == ("sam", "password+totp")
