"""Somebody who wants onto a machine without anybody's consent, or off it without a trace.

Sessions are left by hand where sudo and sshd would leave them: what these say is what the attacker may choose.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from hygie.app import House, open_house, opened
from hygie.base.ssh import authority_blob, fingerprint, read_public_line
from hygie.interventions import iolog
from hygie.interventions.matching import SHELL
from hygie.journal.errors import JournalUnavailableError
from hygie.journal.writer import JournalWriter
from hygie.keys.errors import CertificateRefusedError
from hygie.recordings import SessionKeeper
from hygie.registers.chain import RecordVersion, digest_of
from tests.acceptance.conftest import Installation, new_installation, populate
from tests.attack.installation import noticed
from tests.unit.interventions.stage import log, recording

ADDRESS = "192.0.2.7"


def now() -> datetime:
    return datetime.now(UTC)


def at(minutes: float) -> str:
    return (now() + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(days: int) -> str:
    return (now() + timedelta(days=days)).date().isoformat()


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    """An installation with staff, two clients, a spool and a log of logins."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-i-"))
    one = new_installation(folder)
    spool, logins = folder / "spool", folder / "sshd.log"
    spool.mkdir()
    logins.touch()
    settings = one.data / "hygie.toml"
    read = f'[interventions]\nrecordings = "{spool}"\nlogins = "{logins}"'
    settings.write_text(settings.read_text().replace("[interventions]", read))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    try:
        one.up()
        populate(one)
        one.hygie("tenant", "create", "other")
        for account, duties in (("anne", "rssi"), ("paul", "operator"), ("zoe", ""), ("luc", "operator")):
            fields = [f"name={account.title()} Durand", f"account={account}", "employer=Hygie", "function=Exploitant"]
            fields += ["starts_on=2020-01-06", *([f"duties={duties}"] if duties else [])]
            one.hygie("register", "add", "person", *fields, "--key", f"PER-{account}")
        yield one
    finally:
        with suppress(OSError):
            one.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _anne(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "anne")


def wish(made: Installation, key: str, *fields: str, tenant: str = "chu") -> None:
    """An intervention that somebody asks for."""
    first = (
        *("title=Disque", "kind=maintenance", "origin=host", "requested_by=paul", "reason=Disque plein"),
        *("health_data=yes", "operator=PER-paul", "remote=yes", "plan=Vider", "country=FR"),
        *(f"begins_after={at(-5)}", f"ends_before={day(1)}", f"ends_at={at(30)}"),
    )
    made.hygie("register", "add", "intervention", *first, *fields, "--key", key, "--tenant", tenant)


def approve(made: Installation, key: str, approver: str = "zoe") -> None:
    made.hygie("register", "amend", "intervention", key, "--state", "validated", "--approver", approver)


def certificate(made: Installation, key: str, exit_code: int = 0) -> Any:
    public = made.data.parent / "key.pub"
    return made.hygie("intervention", "certificate", key, "--key", str(public), exit_code=exit_code)


def refused(made: Installation, key: str, words: str, code: str = "HYG-2J0") -> None:
    error = certificate(made, key, 20)["error"]
    assert error["code"] == code
    assert words in error["message"]


def login(
    made: Installation, key: str, *, port: int = 51_000, account: str = "paul", serial: str = "", authority: str = ""
) -> None:
    """A line as sshd says it, a second ago. serial: of a certificate; none: of a new one of this intervention."""

    async def main() -> str:
        async with open_house(made.data) as house:
            return fingerprint(authority_blob(await house.kms.public_key("intervention")))

    own = read_public_line((made.data.parent / "key.pub").read_bytes()).print
    serial = serial or certificate(made, key)["serial"]
    line = f"{(now() - timedelta(seconds=1)).isoformat()} vm-1 sshd[1]: Accepted publickey for {account} from {ADDRESS}"
    line += f" port {port} ssh2: ED25519-CERT {own} ID {key} (serial {serial}) CA ED25519 "
    with (made.data.parent / "sshd.log").open("a") as file:
        file.write(line + (authority or asyncio.run(main())) + "\n")


def session(made: Installation, name: str, ticket: str, *, port: int = 51_000, **changed: Any) -> Path:
    """A recording that ended now."""
    arguments = [SHELL, ticket, f"{ADDRESS} {port} 10.0.0.1 22", "0", ""]
    header = log(timestamp={"seconds": int(now().timestamp())}, runargv=arguments)
    return recording(made.data.parent / "spool", name, **{"log_json": header, "timing": b"4 0.001 12\n",
                     "ttyin": b"", "ttyout": f"{name:<12}".encode()[:12], **changed})  # fmt: skip


def sessions(made: Installation, *words: str) -> list[dict[str, Any]]:
    return list(made.hygie("intervention", "sessions", *words))


def taken(made: Installation, folder: Path) -> None:
    made.wait_for(lambda: not folder.exists())


def test_nobody_gets_a_certificate_by_his_own_word(made: Installation) -> None:
    wish(made, "INT-10")
    refused(made, "INT-10", "neither validated")
    refused(made, "INT-99", "no such record")
    approve(made, "INT-10", "paul")
    refused(made, "INT-10", "not approved by somebody")
    for key, approver in (("INT-11", "Paul Durand"), ("INT-12", "quelqu'un"), ("INT-13", "PER-paul")):
        wish(made, key)
        approve(made, key, approver)
        refused(made, key, "not approved by somebody")
    wish(made, "INT-14")
    approve(made, "INT-14")
    assert certificate(made, "INT-14")["account"] == "paul"
    made.hygie("register", "amend", "intervention", "INT-14", f"ends_at={at(600)}", "--state", "in-progress")
    refused(made, "INT-14", "changed since")


def test_an_account_that_is_given_to_the_operator_after_the_approval_opens_nothing(made: Installation) -> None:
    person = ("name=Eve Durand", "employer=Hygie", "function=Exploitant", "starts_on=2020-01-06", "duties=operator")
    made.hygie("register", "add", "person", *person, "account=eve", "--key", "PER-eve")
    wish(made, "INT-16", "operator=PER-eve")
    approve(made, "INT-16")
    assert certificate(made, "INT-16")["account"] == "eve"
    made.hygie("register", "amend", "person", "PER-eve", "account=mallory")
    refused(made, "INT-16", "changed since")
    made.wait_for(lambda: b"INT-16" in (made.data / "ssh" / "revoked.krl").read_bytes())


def test_who_approves_through_sudo_as_the_operator_does_not_count(
    made: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish(made, "INT-15")
    monkeypatch.setenv("SUDO_USER", "paul")
    approve(made, "INT-15")
    refused(made, "INT-15", "not approved by somebody")


def test_outside_its_window_or_without_its_operator_it_opens_nothing(made: Installation) -> None:
    for key, fields in (
        ("INT-20", (f"begins_after={at(5)}",)),
        ("INT-21", (f"begins_after={at(-60)}", f"ends_at={at(-1)}")),
        ("INT-22", (f"begins_after={at(-3_000)}", f"ends_before={day(-1)}", f"ends_at={at(-1_999)}")),
    ):
        wish(made, key, *fields)
        approve(made, key)
        refused(made, key, "window")
    wish(made, "INT-23", "operator=PER-luc")
    approve(made, "INT-23")
    assert certificate(made, "INT-23")["account"] == "luc"
    made.hygie("register", "amend", "person", "PER-luc", f"ends_on={day(0)}", "--state", "left")
    refused(made, "INT-23", "left")
    made.wait_for(lambda: b"INT-23" in (made.data / "ssh" / "revoked.krl").read_bytes())


def test_a_window_cuts_the_certificate(made: Installation) -> None:
    wish(made, "INT-24", f"ends_at={at(3)}")
    approve(made, "INT-24")
    public = str(made.data.parent / "key.pub")
    given = made.hygie("intervention", "certificate", "INT-24", "--key", public, "--minutes", "60")
    assert given["until_ms"] <= (now() + timedelta(minutes=3)).timestamp() * 1000
    assert made.run("intervention", "certificate", "INT-24", "--key", public, "--minutes", "61").returncode == 2
    secret = str(made.data.parent / "key")
    assert (
        made.hygie("intervention", "certificate", "INT-24", "--key", secret, exit_code=10)["error"]["code"] == "HYG-1J0"
    )


def test_the_kms_signs_nothing_else_as_this_authority(made: Installation) -> None:
    async def ask(house: House, message: bytes) -> None:
        await house.kms.sign("intervention", message)

    async def main() -> None:
        async with open_house(made.data) as house:
            for message in (b"", b"hygie/x\n12\nhash\n", os.urandom(200)):
                with pytest.raises(CertificateRefusedError):
                    await ask(house, message)

    asyncio.run(main())


def test_a_record_written_without_hygie_opens_nothing(made: Installation) -> None:
    wish(made, "INT-30")
    made.hygie("register", "verify")

    async def dsn() -> str:
        async with open_house(made.data) as house:
            return house.dsns.owner

    columns = "seq, register, key, version, at_ms, author, approver, tenant, state, reason, body"
    with psycopg.connect(asyncio.run(dsn()), autocommit=True) as owner:
        row = owner.execute(f"SELECT {columns} FROM hygie_proof.record WHERE key = 'INT-30'".encode()).fetchone()
        head = owner.execute("SELECT seq, digest FROM hygie_proof.head WHERE log = 'records'").fetchone()
        assert row is not None
        assert head is not None
        told = (row[4], "local:anne", "zoe", "chu", "validated", "")
        forged = RecordVersion(head[0] + 1, "intervention", "INT-30", 2, *told, json.loads(row[10]))
        digest = digest_of(forged, bytes(head[1]))  # as Hygie chains it: only the journal does not say so
        values = (forged.seq, "intervention", "INT-30", 2, *told, forged.body, digest)
        marks = ", ".join(["%s"] * len(values))
        owner.execute(f"INSERT INTO hygie_proof.record ({columns}, digest) VALUES ({marks})".encode(), values)
        owner.execute("UPDATE hygie_proof.head SET seq = %s, digest = %s WHERE log = 'records'", (forged.seq, digest))
        try:
            assert certificate(made, "INT-30", 50)["error"]["code"] == "HYG-5C2"
        finally:
            owner.execute("DELETE FROM hygie_proof.record WHERE seq = %s", (forged.seq,))
            owner.execute("UPDATE hygie_proof.head SET seq = %s, digest = %s WHERE log = 'records'", head)
    refused(made, "INT-30", "neither validated")


def test_a_poisoned_spool_stops_nothing_and_is_named(made: Installation, tmp_path: Path) -> None:
    wish(made, "INT-40")
    approve(made, "INT-40")
    certificate(made, "INT-40")
    spool = made.data.parent / "spool"
    (spool / "link").symlink_to(tmp_path)
    (spool / "file").write_bytes(os.urandom(1_000))
    os.mkfifo(spool / "pipe")
    outside = tmp_path / "outside"
    outside.write_bytes(b"x" * 12)
    linked = session(made, "aa-linked", "INT-40")
    (linked / "ttyout").unlink()
    (linked / "ttyout").symlink_to(outside)
    session(made, "ab-junk", "INT-40", log_json=os.urandom(300))
    session(made, "ac-cut", "INT-40", ttyout=b"cut")
    huge = session(made, "ad-huge", "INT-40", ttyout=b"")
    with (huge / "ttyout").open("r+b") as sparse:
        sparse.truncate(iolog.BYTES_MAX + 1)
    nested = session(made, "ae-nested", "INT-40", port=51_040)
    (nested / "inside").mkdir()
    login(made, "INT-40", port=51_040)
    login(made, "INT-40", port=51_041)
    good = session(made, "zz-good", "INT-40", port=51_041)
    taken(made, good)
    found = [one for one in sessions(made) if one["intervention"] == "INT-40"]
    assert [one["state"] for one in found] == ["matched", "matched"]
    wrong = sorted(one["wrong"] for one in sessions(made) if one["state"] == "unmatched")
    assert wrong == ["damaged", "damaged", "damaged", "too-large"]
    assert {outside.read_bytes(), b"x" * 12} == {b"x" * 12}
    made.hygie("posture", "--now")
    assert noticed(made, "session-unmatched")["level"] == "high"
    made.hygie("intervention", "record")
    made.journal_published()
    told = [
        one for one in made.hygie("journal", "show", "--limit", "500") if one.get("action") == "intervention:record"
    ]
    for key in (one["session"] for one in found):
        assert len([one for one in told if one["detail"]["session"] == key]) == 2, "the host's and the client's, once"
    for name in ("link", "file", "pipe", "aa-linked", "ab-junk", "ac-cut", "ad-huge", "ae-nested"):
        path = spool / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def test_a_session_is_not_told_to_another_client(made: Installation) -> None:
    for key, tenant in (("INT-50", "chu"), ("INT-51", "other")):
        wish(made, key, tenant=tenant)
        approve(made, key)
    before = len(sessions(made, "--tenant", "other"))
    login(made, "INT-50", port=51_050)
    lying = session(made, "lying", "INT-51", port=51_050)
    taken(made, lying)
    assert len(sessions(made, "--tenant", "other")) == before
    assert [one["wrong"] for one in sessions(made) if one["wrong"] == "other-ticket"] == ["other-ticket"]
    login(made, "INT-50", port=51_051)
    honest = session(made, "honest", "INT-50", port=51_051)
    taken(made, honest)
    (own,) = [one for one in sessions(made, "--tenant", "chu") if one["intervention"] == "INT-50"]
    assert len(sessions(made, "--tenant", "other")) == before
    words = ("intervention", "replay", own["session"], "--for", "INC-1")
    assert made.hygie(*words, "--tenant", "other", exit_code=30)["error"]["code"] == "HYG-3J0"
    assert made.hygie("intervention", "sessions", "--tenant", "nobody", exit_code=30)["error"]["code"] == "HYG-3J0"


def test_a_client_reads_also_what_went_wrong_in_its_interventions(made: Installation) -> None:
    wish(made, "INT-54")
    approve(made, "INT-54")
    for port in (51_055, 51_056):
        login(made, "INT-54", port=port)
    cut = session(made, "cut-54", "INT-54", port=51_055, ttyout=b"cut")
    bash = session(made, "bash-54", "INT-54", port=51_056)
    named = json.loads((bash / "log.json").read_bytes()) | {"runenv": ["SHELL=/bin/bash"]}
    (bash / "log.json").write_text(json.dumps(named))
    odd = log(timestamp={"seconds": int(now().timestamp())}, command="/bin/ls", runargv=["/bin/ls", "cafe"])
    taken(made, session(made, "odd-54", "INT-54", log_json=odd.replace(b"cafe", b"caf\xe9")))

    def told() -> list[tuple[str, str]]:
        own = [one for one in sessions(made, "--tenant", "chu") if one["intervention"] == "INT-54"]
        return sorted((one["state"], one["wrong"] or "") for one in own)

    made.wait_for(lambda: len(told()) == 3)
    assert told() == [("matched", ""), ("unmatched", "damaged"), ("unmatched", "login-shell")]
    made.journal_published()
    rows = made.hygie("journal", "show", "--limit", "500", "--tenant", "chu")
    own = [one for one in rows if one.get("action") == "intervention:record" and one["purpose"] == "INT-54"]
    assert sorted(one["kind"] for one in own) == ["access", "security", "security"]
    shutil.rmtree(cut)


def test_a_recording_that_never_ends_is_named_when_its_certificate_must_have_ended(made: Installation) -> None:
    begun = int((now() - timedelta(minutes=62)).timestamp())
    arguments = [SHELL, "INT-55", f"{ADDRESS} 51057 10.0.0.1 22", "99999999999", ""]
    endless = session(
        made, "endless", "INT-55", log_json=log(timestamp={"seconds": begun}, runargv=arguments), timing=None
    )
    (endless / "timing").write_bytes(b"4 0.001 12\n")  # and a byte every hour
    begun_at = datetime.fromtimestamp(begun, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def told() -> list[str]:
        return [one["wrong"] for one in sessions(made) if one["started_at"] == begun_at]

    made.wait_for(lambda: told() != [])
    made.hygie("intervention", "record")
    assert told() == ["no-login"], "once, while it goes on"
    assert endless.exists()
    (endless / "timing").chmod(0o400)
    taken(made, endless)
    assert told() == ["no-login", "no-login"]


def test_a_session_whose_entries_were_cut_is_told_at_the_next_turn(
    made: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spool, sshd = tmp_path / "spool", tmp_path / "sshd.log"
    spool.mkdir()
    at_ = (now() - timedelta(minutes=2)).isoformat()
    sshd.write_text(f"{at_} vm-1 sshd[1]: Accepted password for root from {ADDRESS} port 51058 ssh2\n")

    async def down(*_: object) -> None:
        raise JournalUnavailableError(part="database")

    async def main() -> list[str]:
        async with (
            open_house(made.data) as there,
            opened(there.dsns.sealer, size=2) as records,
            opened(there.dsns.hosting, size=2) as pool,
        ):
            set_ = msgspec.structs.replace(there.settings.interventions, recordings=str(spool), logins=str(sshd))
            house = replace(there, settings=msgspec.structs.replace(there.settings, interventions=set_))
            with monkeypatch.context() as cut:
                cut.setattr(JournalWriter, "append_now", down)
                with pytest.raises(JournalUnavailableError):
                    await SessionKeeper(house, records, pool, "local:anne").run()
            return await SessionKeeper(house, records, pool, "local:anne").run()  # another process

    (key,) = asyncio.run(main())
    made.journal_published()
    rows = made.hygie("journal", "show", "--limit", "500")
    told = [one["detail"] for one in rows if one.get("action") == "intervention:record"]
    assert [one["wrong"] for one in told if one["session"] == key] == ["no-certificate"]


def test_a_line_about_a_certificate_that_nobody_was_given_opens_nothing(made: Installation) -> None:
    for key in ("INT-52", "INT-53"):
        wish(made, key, tenant="other")
        approve(made, key)
    own = certificate(made, "INT-52")["serial"]
    before = [one["wrong"] for one in sessions(made)].count("no-certificate")
    lines = (("INT-52", "7", 51_052), ("INT-53", own, 51_053), ("INT-53", "", 51_054))
    for key, serial, port in lines:
        login(made, key, serial=serial, port=port)
        taken(made, session(made, f"told-{port}", key, port=port))
    assert [one["wrong"] for one in sessions(made)].count("no-certificate") - before == 2
    other = [one["intervention"] for one in sessions(made, "--tenant", "other")]
    assert [one for one in other if one in ("INT-52", "INT-53")] == ["INT-53"]


def test_a_recording_that_was_altered_is_not_shown(made: Installation) -> None:
    wish(made, "INT-60")
    approve(made, "INT-60")
    for number in (1, 2):
        login(made, "INT-60", port=51_060 + number)
        taken(made, session(made, f"rec-{number}", "INT-60", port=51_060 + number))
    one, two = [each["session"] for each in sessions(made) if each["intervention"] == "INT-60"]
    shown = made.hygie("intervention", "replay", one, "--for", "INC-1")
    assert "rec-" in json.dumps(shown)

    async def dsn() -> str:
        async with open_house(made.data) as house:
            return house.dsns.owner

    def file_of(owner: psycopg.Connection[Any], key: str) -> bytes:
        row = owner.execute(
            "SELECT content, sha256 FROM hygie_proof.document WHERE encode(sha256, 'hex') ="
            " (SELECT body::json->>'recording' FROM hygie_proof.record WHERE key = %s)", (key,)
        ).fetchone()  # fmt: skip
        assert row is not None
        return bytes(row[0])

    put = (
        b"UPDATE hygie_proof.document SET content = %s WHERE encode(sha256, 'hex') ="
        b" (SELECT body::json->>'recording' FROM hygie_proof.record WHERE key = %s)"
    )
    changes: dict[str, Callable[[bytes, bytes], bytes]] = {
        "cut": lambda own, _: own[:-1],
        "altered": lambda own, _: own[:100] + bytes((own[100] ^ 1,)) + own[101:],
        "another session's": lambda _, others: others,
    }
    with psycopg.connect(asyncio.run(dsn()), autocommit=True) as owner:
        own, others = file_of(owner, one), file_of(owner, two)
        assert b"rec-" not in own
        for change in changes.values():
            owner.execute(put, (change(own, others), one))
            found = made.hygie("intervention", "replay", one, "--for", "INC-1", exit_code=50)
            assert found["error"]["code"] == "HYG-5J0"
        owner.execute(put, (own, one))
    assert made.hygie("intervention", "replay", one, "--for", "INC-1") == shown


def test_an_intruder_s_account_ends_with_the_intrusion_test(made: Installation) -> None:
    made.hygie("account", "create", "pentest-1", "--kind", "person", "--label", "Testeur")
    words = ("--role", "reader", "--reason", "test d'intrusion", "--approver", "anne", "--days", "30")
    made.hygie("habilitation", "grant", "pentest-1", "chu", "prod", *words)
    wish(made, "INT-70", "kind=pentest", "ending_accounts=pentest-1", f"ends_at={at(0.2)}")
    approve(made, "INT-70")

    def state() -> tuple[str, bool]:
        (account,) = [one for one in made.hygie("account", "list") if one["id"] == "pentest-1"]
        (right,) = [one for one in made.hygie("habilitation", "list") if one["account"] == "pentest-1"]
        return account["state"], right["revoked_ms"] is None

    assert state() == ("open", True)
    made.wait_for(lambda: state() == ("disabled", False))
