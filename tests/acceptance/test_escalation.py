"""Escalation of a running installation: a finding wakes people by every kind of channel, until somebody answers."""

from __future__ import annotations

import email
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from hygie.base.channels import FileSettings, MailSettings, StepSettings, SyslogSettings, WebhookSettings
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, entries, kill
from tests.unit.watch.receivers import KEY, PASSWORD, Receiver, certificate, collector, mail_server, webhook

TOLD_MS_MAX = 30_000  # what is promised of the first notice


@dataclass
class Receivers:
    """Who is told. file: of the channel of that name."""

    hook: Receiver
    logs: Receiver
    box: Receiver
    file: Path

    def lines(self, finding: str) -> list[Any]:
        """What the file says of one finding."""
        if not self.file.exists():
            return []
        return [one for one in map(json.loads, self.file.read_text().splitlines()) if one["finding"] == finding]


@pytest.fixture(scope="module")
def receivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receivers]:
    folder = tmp_path_factory.mktemp("receivers")
    files = certificate(folder)
    with webhook(files) as hook, collector(files) as logs, mail_server(files) as box:
        yield Receivers(hook, logs, box, folder / "told.jsonl")


@pytest.fixture(scope="module")
def made(receivers: Receivers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("secrets")
    authority = str(certificate(receivers.file.parent).authority)
    secrets = {"key": KEY, "password": PASSWORD.encode()}
    for name, secret in secrets.items():
        (folder / name).write_bytes(secret)
        (folder / name).chmod(0o600)
    channels = (
        FileSettings(name="file", path=str(receivers.file)),
        WebhookSettings(
            name="hook",
            url=f"https://localhost:{receivers.hook.port}/",
            secret=str(folder / "key"),
            authority=authority,
        ),
        SyslogSettings(name="siem", host="localhost", port=receivers.logs.port, authority=authority),
        MailSettings(
            name="mail",
            host="localhost",
            port=receivers.box.port,
            user="hygie",
            secret=str(folder / "password"),
            authority=authority,
            sender="hygie@hopital.example",
            to=("astreinte@hopital.example",),
        ),
    )
    steps = (
        StepSettings(levels=("critical", "high", "medium"), channels=("file", "hook", "siem", "mail")),
        StepSettings(levels=("critical",), after_minutes=15, channels=("hook",)),
    )

    with ExitStack() as stack:
        made = stack.enter_context(attacked(channels=channels, escalation=steps))
        yield made


def raised(made: Installation, ticket: str) -> str:
    """Something that a rule speaks of; the finding that it opens."""
    made.hygie("raise", ticket, "--reason", "disk", "--emergency")
    title = "Somebody raised his rights"

    def waiting() -> list[dict[str, Any]]:
        return [one for one in made.hygie("finding", "list") if one["title"].startswith(title)]

    made.wait_for(lambda: bool(waiting()))
    (found,) = waiting()
    return str(found["id"])


def told(made: Installation, finding: str) -> dict[str, dict[str, Any]]:
    return {one["channel"]: one for one in made.hygie("finding", "show", finding)["notices"]}


def sent(made: Installation, finding: str) -> set[str]:
    return {name for name, row in told(made, finding).items() if row["state"] == "sent"}


def test_a_finding_is_told_by_each_channel_within_seconds(made: Installation, receivers: Receivers) -> None:
    id_ = raised(made, "INT-2026-0001")
    made.wait_for(lambda: {one["state"] for one in told(made, id_).values()} == {"sent"})
    rows = told(made, id_)
    assert {name: row["code"] for name, row in rows.items()} == {
        "file": "written",
        "hook": "200",
        "siem": "written",
        "mail": "250",
    }
    opened_ms = made.hygie("finding", "show", id_)["opened_ms"]
    late = {name: row["sent_ms"] - opened_ms for name, row in rows.items()}
    print("from a finding to its notice, ms:", late)
    assert max(late.values()) <= TOLD_MS_MAX
    (line,) = receivers.lines(id_)
    assert line["title_en"].startswith("Somebody raised his rights")
    assert [one for one in receivers.hook.came if one["finding"] == id_] == [line]
    assert any(f'finding="{id_}"'.encode() in one for one in receivers.logs.came)
    mails = [email.message_from_bytes(one.content, policy=default) for one in receivers.box.came]
    (mail,) = [one for one in mails if id_ in str(one["Message-ID"])]
    assert isinstance(mail, EmailMessage)
    assert f"hygie finding show {id_}" in mail.get_content()
    journaled = entries(made, action="finding:tell", outcome="done")
    assert {one.detail["channel"] for one in journaled if one.detail["finding"] == id_} == set(rows)
    grouping = json.loads(made.hygie("finding", "show", id_)["group"])
    assert grouping
    everything = json.dumps(receivers.hook.came) + mail.get_content() + repr(receivers.logs.came)
    assert not [value for value in grouping.values() if re.search(rf"\b{re.escape(value)}\b", everything)]
    made.hygie("finding", "close", id_, "--why", "vu avec Paul")


def test_a_watch_killed_between_due_and_told_tells_it_and_who_hangs_holds_up_nobody(
    made: Installation, receivers: Receivers
) -> None:
    receivers.hook.hang.set()
    asked = receivers.hook.asked
    id_ = raised(made, "INT-2026-0002")
    made.wait_for(lambda: receivers.hook.asked > asked)
    made.wait_for(lambda: sent(made, id_) == {"file", "siem", "mail"})
    assert told(made, id_)["hook"]["state"] == "waiting"
    assert kill(made, "watch") == 1
    receivers.hook.hang.clear()
    made.wait_for(lambda: told(made, id_)["hook"]["state"] == "sent")
    assert id_ in {one["finding"] for one in receivers.hook.came}
    assert len(receivers.lines(id_)) == 1
    made.hygie("finding", "close", id_, "--why", "vu avec Paul")


def test_what_is_acknowledged_is_told_no_more(made: Installation, receivers: Receivers) -> None:
    receivers.hook.status = 503
    id_ = raised(made, "INT-2026-0003")
    made.wait_for(lambda: told(made, id_).get("hook", {}).get("code") == "HYG-4W2 503")
    made.hygie("finding", "acknowledge", id_)
    made.wait_for(lambda: told(made, id_)["hook"]["state"] == "cancelled")
    receivers.hook.status = 200
    made.hygie("finding", "close", id_, "--why", "vu avec Paul")
    assert id_ not in {one["finding"] for one in receivers.hook.came}


def test_a_channel_is_tried_by_hand(made: Installation, receivers: Receivers) -> None:
    for name, answer in (("file", "written"), ("hook", "200"), ("siem", "written"), ("mail", "250")):
        assert made.hygie("finding", "test-channel", name) == {"channel": name, "answer": answer}
    assert len(receivers.lines("test")) == 1
    assert "Essai de ce canal" in receivers.hook.came[-1]["title_fr"]
    receivers.hook.status = 500
    assert made.hygie("finding", "test-channel", "hook", exit_code=40)["error"]["code"] == "HYG-4W2"
    receivers.hook.status = 200
    made.hygie("finding", "test-channel", "pigeon", exit_code=30)
    tried = [one for one in entries(made, action="finding:handle") if one.detail.get("act") == "test"]
    assert [one.outcome for one in tried].count("done") == 4
    assert [one.detail["code"] for one in tried if one.outcome == "unknown"] == ["HYG-4W2"]


def test_a_step_that_names_no_channel_does_not_start(made: Installation) -> None:
    path = made.data / "hygie.toml"
    whole = path.read_text()
    try:
        path.write_text(whole.replace('name = "siem"', 'name = "seim"'))
        done = made.run("watch")
        assert (done.returncode, "siem is no name" in done.stderr) == (60, True)
    finally:
        path.write_text(whole)
