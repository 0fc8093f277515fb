"""An approved intervention opens a real machine for as long as it lasts, and what is done there is kept and told."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Installation, new_installation, populate
from tests.acceptance.machine import Machine, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "ready")

Site = tuple[Installation, Machine]


def at(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """An installation with two people and a client, and a machine that trusts it."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-m-"))
    folder.chmod(0o755)  # homes of the machine's people are inside
    made = new_installation(folder)
    machine = Machine(folder / "files", folder / "machine")
    machine.folder.mkdir()
    settings = made.data / "hygie.toml"
    read = f'[interventions]\nrecordings = "{machine.recordings}"\nlogins = "{machine.log}"'
    settings.write_text(settings.read_text().replace("[interventions]", read))
    setup = ("--account", "paul", "--account", "anne", "--account", "luc", "--recordings", str(machine.recordings))
    made.hygie("intervention", "setup", str(machine.files), *setup)
    try:
        machine.start()
        made.up()
        populate(made)
        for name, duty in (("Anne Martin", "rssi"), ("Paul Durand", "operator"), ("Luc Petit", "operator"),
                           ("Zoé Roux", "")):  # fmt: skip
            account = name.split()[0].lower().replace("é", "e")
            fields = [f"name={name}", f"account={account}", "employer=Hygie", "function=Exploitant"]
            fields += ["starts_on=2020-01-06", *([f"duties={duty}"] if duty else [])]
            made.hygie("register", "add", "person", *fields, "--key", f"PER-{account}")
        made.wait_for((made.data / "ssh" / "authority.pub").exists)
        yield made, machine
    finally:
        with suppress(OSError):
            made.down()
        machine.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def as_(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Type as somebody, through sudo as people do."""
    return lambda name: monkeypatch.setenv("SUDO_USER", name)


def asked_for(made: Installation, key: str, *fields: str, tenant: str = "chu") -> None:
    """An intervention of Paul that nobody has approved, from a minute ago until in half an hour."""
    first = (
        *("title=Disque plein", "kind=maintenance", "origin=host", "requested_by=paul", "reason=Disque plein"),
        *("health_data=yes", "operator=PER-paul", "remote=yes", "plan=Vider les journaux", "country=FR"),
        *(f"begins_after={at(-1)}", f"ends_before={day(1)}", f"ends_at={at(30)}"),
    )
    words = ("--key", key, *(("--tenant", tenant) if tenant else ()))
    made.hygie("register", "add", "intervention", *first, *fields, *words)


def intervention(made: Installation, key: str, *fields: str, tenant: str = "chu") -> None:
    """The same, approved."""
    asked_for(made, key, *fields, tenant=tenant)
    made.hygie("register", "amend", "intervention", key, "--state", "validated", "--approver", "zoe")


def certified(made: Installation, machine: Machine, key: str, *words: str) -> Path:
    """A fresh key with the certificate of an intervention."""
    public = machine.key(f"key-{key}")
    made.hygie("intervention", "certificate", key, "--key", str(public), *words)
    return public


def entries(made: Installation, *words: str) -> list[dict[str, Any]]:
    made.journal_published()
    return [one for one in made.hygie("journal", "show", "--limit", "200", *words) if one["readable"]]


def test_a_certificate_opens_the_machine_and_the_session_is_recorded(site: Site, as_: Callable[[str], None]) -> None:
    made, machine = site
    as_("anne")
    intervention(made, "INT-0001")
    key = certified(made, machine, "INT-0001", "--minutes", "10")
    done = machine.ssh(key, "echo fait pour $HYGIE_INTERVENTION; sudo -n /usr/bin/id -un")
    assert (done.returncode, done.stdout) == (0, b"fait pour INT-0001\nroot\n"), done.stderr


def sessions(made: Installation, *words: str) -> list[dict[str, Any]]:
    return list(made.hygie("intervention", "sessions", *words))


def of_intervention(made: Installation, key: str, count: int) -> list[dict[str, Any]]:
    """Sessions of one intervention, once so many were taken in by ``hygie work``."""
    made.wait_for(lambda: sum(one["intervention"] == key for one in sessions(made)) >= count)
    return [one for one in sessions(made) if one["intervention"] == key]


def test_what_was_done_is_sealed_and_read_by_the_client_without_a_name(site: Site, as_: Callable[[str], None]) -> None:
    made, machine = site
    as_("anne")
    intervention(made, "INT-0002")
    key = certified(made, machine, "INT-0002")
    typed = machine.ssh(key, typed=("echo mot-$((40+2))", "sudo -n /usr/bin/id -un", "exit"))
    assert b"mot-42" in typed.stdout
    machine.ssh(key, "cat", given=b"patient Secretissime")
    found = of_intervention(made, "INT-0002", 3)
    assert sorted(one["kind"] for one in found) == ["ssh", "ssh", "sudo"]
    assert {(one["state"], one["account"], one["host"] != "", one["tenant"]) for one in found} == {
        ("matched", "paul", True, "chu")
    }
    assert list(machine.recordings.iterdir()) == []
    assert b"Secretissime" not in b"".join(path.read_bytes() for path in made.data.rglob("*") if path.is_file())

    told = [one for one in sessions(made, "--tenant", "chu") if one["intervention"] == "INT-0002"]
    (pseudonym,) = {one["staff"] for one in told}
    assert re.fullmatch(r"staff:[a-z2-7]{10}", pseudonym)
    assert {(one["role"], "account" in one) for one in told} == {("operator", False)}
    listed = [one for one in made.hygie("intervention", "list", "--tenant", "chu") if "INT-0002" in one.values()]
    assert [(one["staff"], one["role"]) for one in listed] == [(pseudonym, "operator")]
    own = [one for one in entries(made, "--tenant", "chu") if one["action"].startswith("intervention:")]
    assert {(one["action"], one["account"]) for one in own if one["purpose"] == "INT-0002"} == {
        ("intervention:certify", pseudonym),
        ("intervention:record", pseudonym),
    }
    assert not re.search(r"paul|127\.0\.0\.1", f"{told} {listed} {own}", re.IGNORECASE)
    ours = [one for one in entries(made) if one["purpose"] == "INT-0002" and one["tenant_id"] == "00" * 16]
    assert {(one["account"], one["address"]) for one in ours if one["action"] == "intervention:record"} == {
        ("paul", "127.0.0.1")
    }
    assert made.hygie("intervention", "who", "chu", pseudonym, "--for", "TIC-7") == {
        "account": "paul", "name": "Paul Durand"
    }  # fmt: skip


def test_a_recording_is_shown_to_an_officer_alone_and_that_is_told(site: Site, as_: Callable[[str], None]) -> None:
    made, machine = site
    as_("anne")
    intervention(made, "INT-0003")
    machine.ssh(certified(made, machine, "INT-0003"), "printf 'mot \\033]0;piege\\007de passe\\n'")
    (session,) = [one["session"] for one in of_intervention(made, "INT-0003", 1)]
    shown = made.hygie("intervention", "replay", session, "--for", "INC-3", "--tenant", "chu")
    asked, *pieces = [text for _, text in shown["pieces"]]
    assert asked.startswith("$ /usr/local/libexec/hygie-shell INT-0003 '127.0.0.1 ")
    assert "".join(pieces) == "mot de passe\n", "no sequence reaches the reader's terminal"
    assert "printf" in asked
    for who, words in (("paul", ()), ("root", ()), ("zoe", ())):
        as_(who)
        refused = made.hygie("intervention", "replay", session, "--for", "INC-3", *words, exit_code=20)
        assert refused["error"]["code"] == "HYG-2J1"
    as_("anne")
    assert (
        made.hygie("intervention", "replay", session, "--for", "two words", exit_code=20)["error"]["code"] == "HYG-2J1"
    )
    other = made.hygie("intervention", "replay", session, "--for", "INC-3", "--tenant", "other", exit_code=30)
    assert other["error"]["code"] == "HYG-3J0"
    told = [one for one in entries(made) if one["action"] == "intervention:replay"]
    assert sorted((one["outcome"], one["account"].partition(":")[0]) for one in told) == sorted(
        [*[("refused", "local")] * 4, ("done", "local"), ("done", "staff")]
    )


def test_no_other_certificate_opens_the_machine(site: Site, as_: Callable[[str], None], tmp_path: Path) -> None:
    made, machine = site
    as_("anne")
    intervention(made, "INT-0004")
    key = certified(made, machine, "INT-0004")
    assert machine.ssh(key, "true").returncode == 0
    assert machine.ssh(key, "true", user="anne").returncode == 255, "another account"
    assert machine.ssh(machine.key("bare"), "true").returncode == 255, "a key without a certificate"

    authority, foreign = machine.key("authority"), machine.key("foreign")
    sign = ["ssh-keygen", "-q", "-s", str(authority.with_suffix("")), "-I", "INT-0004", "-n", "paul", "-V", "+10m"]
    subprocess.run([*sign, str(foreign)], check=True)
    assert machine.ssh(foreign, "true").returncode == 255, "another authority"

    intervention(made, "INT-0005", f"ends_at={at(0.6)}")
    short = certified(made, machine, "INT-0005", "--minutes", "60")
    cut = machine.ssh(short, "echo debut; sleep 300; echo fin")
    assert (cut.stdout, cut.returncode != 0) == (b"debut\n", True), "a session ends with its certificate"
    assert machine.ssh(short, "true").returncode == 255, "it has ended"

    closing = (f"started_at={at(-0.5)}", f"ended_at={at(0)}", "report=Fait", "accesses_closed=yes")
    revoked = made.data / "ssh" / "revoked.krl"
    assert b"INT-0004" not in revoked.read_bytes()
    made.hygie("register", "amend", "intervention", "INT-0004", *closing, "--state", "done")
    made.wait_for(lambda: b"INT-0004" in revoked.read_bytes())
    assert machine.ssh(key, "true").returncode == 255, "its intervention is over"
    asked = subprocess.run(["ssh-keygen", "-Q", "-f", str(revoked), f"{key.with_suffix('')}-cert.pub"], check=False,
                           capture_output=True)  # fmt: skip
    assert asked.returncode == 1
    assert b"REVOKED" in asked.stdout
    asked_for(made, "INT-0010")
    given = made.hygie("intervention", "krl", str(tmp_path / "krl"))["revoked"]
    assert given == ["INT-0004", "INT-0005"], "not what awaits an approval: its first certificate must count at once"
    refused = made.hygie("intervention", "certificate", "INT-0004", "--key", str(key), exit_code=20)
    assert refused["error"]["code"] == "HYG-2J0"


def test_a_certificate_counts_from_the_addresses_that_were_declared(site: Site, as_: Callable[[str], None]) -> None:
    made, machine = site
    as_("anne")
    intervention(made, "INT-0006", "addresses=192.0.2.0/24")
    assert machine.ssh(certified(made, machine, "INT-0006"), "true").returncode == 255
    intervention(made, "INT-0007", "addresses=127.0.0.0/8")
    assert machine.ssh(certified(made, machine, "INT-0007"), "true").returncode == 0


def test_a_session_outside_an_intervention_is_named(site: Site, as_: Callable[[str], None]) -> None:
    made, machine = site
    as_("anne")
    intervention(made, "INT-0008")
    intervention(made, "INT-0009", tenant="")
    key = certified(made, machine, "INT-0008")
    lie = "sudo -n -u paul /usr/local/libexec/hygie-shell INT-0009 '203.0.113.8 5 x 22' 99999999999 'echo menti'"
    assert machine.ssh(key, lie).stdout == b"menti\n"
    with machine.log.open("a") as log:  # as sshd would say it: this machine's own would refuse these
        now = (datetime.now(UTC) - timedelta(minutes=2)).isoformat()
        log.write(f"{now} vm-1 sshd[7]: Accepted password for root from 203.0.113.9 port 40022 ssh2\n")
        log.write(
            f"{now} vm-1 sshd[8]: Failed password for x from 1.1.1.1 port 2 ssh2: Accepted password for y from 2\n"
        )
    made.wait_for(lambda: len([one for one in sessions(made) if one["state"] == "unmatched"]) >= 2)
    unmatched = {(one["account"], one["kind"], one["wrong"]) for one in sessions(made) if one["state"] == "unmatched"}
    assert unmatched == {("paul", "ssh", "no-login"), ("root", "ssh", "no-certificate")}
    told = [one for one in entries(made) if one["kind"] == "security" and one["action"] == "intervention:record"]
    assert {one["detail"]["wrong"] for one in told} == {"no-login", "no-certificate"}


def test_who_runs_the_recorder_for_show_before_a_shell_of_his_own_is_named(
    site: Site, as_: Callable[[str], None]
) -> None:
    made, machine = site
    as_("anne")
    intervention(made, "INT-0011", "operator=PER-luc")
    key = certified(made, machine, "INT-0011")
    own = machine.folder / "home" / "luc" / ".bashrc"  # his own bash reads it before it starts the recorder
    own.write_text(
        'sudo -n -u luc /usr/local/libexec/hygie-shell INT-0011 "$SSH_CONNECTION" 9999999999 true </dev/null\n'
        "exec /bin/echo hors de vue\n"
    )
    done = machine.ssh(key, "true", user="luc")
    assert done.stdout == b"hors de vue\n", "nobody recorded this"
    made.wait_for(lambda: any(one["account"] == "luc" for one in sessions(made)))
    (found,) = [one for one in sessions(made) if one["account"] == "luc"]
    assert (found["state"], found["wrong"]) == ("unmatched", "login-shell")
