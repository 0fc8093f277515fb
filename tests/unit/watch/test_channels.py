"""Each channel against a real receiver: what comes, what is refused, and that ten seconds are ten seconds."""

from __future__ import annotations

import asyncio
import email
import json
import re
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from hygie.base.channels import ChannelSettings, FileSettings, MailSettings, SyslogSettings, WebhookSettings
from hygie.base.errors import HygieError
from hygie.base.layout import DataFolder
from hygie.server.certificates import CertificateFiles
from hygie.watch.channels import Wire, deliver
from hygie.watch.couriers import Courier
from hygie.watch.messages import Message
from tests.unit.watch.receivers import (
    KEY,
    PASSWORD,
    Receiver,
    certificate,
    collector,
    mail_server,
    mute,
    talking,
    webhook,
)

MESSAGE = Message(
    id="0123456789abcdef",
    step=2,
    level="high",
    title="Somebody raised his rights",
    title_fr="Quelqu'un a élevé ses droits",
    todo="Ask him why.",
    todo_fr="Demandez-lui pourquoi.",
    opened_ms=1_795_000_000_000,
    last_ms=1_795_000_060_000,
    count=3,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    for name, secret in (("key", KEY + b"\n"), ("password", PASSWORD.encode()), ("wrong", b"another secret")):
        (tmp_path / name).write_bytes(secret)
        (tmp_path / name).chmod(0o600)
    return DataFolder.at(tmp_path)


@pytest.fixture
def hook(files: CertificateFiles) -> Iterator[Receiver]:
    with webhook(files) as made:
        yield made


@pytest.fixture
def logs(files: CertificateFiles) -> Iterator[Receiver]:
    with collector(files) as made:
        yield made


@pytest.fixture
def box(files: CertificateFiles) -> Iterator[Receiver]:
    with mail_server(files) as made:
        yield made


def webhook_at(port: int, files: CertificateFiles | None, **fields: Any) -> WebhookSettings:
    usual = {"name": "hook", "url": f"https://localhost:{port}/hygie?to=soc", "secret": "key"}
    return WebhookSettings(**{**usual, "authority": str(files.authority) if files else None, **fields})


def mail_at(port: int, files: CertificateFiles | None, **fields: Any) -> MailSettings:
    usual = {"name": "mail", "host": "localhost", "port": port, "user": "hygie", "secret": "password"}
    usual |= {"sender": "hygie@hopital.example", "to": ("astreinte@hopital.example", "rssi@hopital.example")}
    return MailSettings(**{**usual, "authority": str(files.authority) if files else None, **fields})


def syslog_at(port: int, files: CertificateFiles | None, **fields: Any) -> SyslogSettings:
    usual = {"name": "siem", "host": "localhost", "port": port}
    return SyslogSettings(**{**usual, "authority": str(files.authority) if files else None, **fields})


def told(channel: ChannelSettings, data: DataFolder, *, message: Message = MESSAGE, seconds: float = 10.0) -> str:
    return deliver(channel, data, message, Wire(seconds))


def refusal(channel: ChannelSettings, data: DataFolder, *, seconds: float = 10.0) -> tuple[str, object]:
    with pytest.raises(HygieError) as caught:
        told(channel, data, seconds=seconds)
    return caught.value.code, caught.value.facts.get("reason")


def test_a_file_gets_one_line_each_and_stays_private(data: DataFolder) -> None:
    channel = FileSettings(name="file", path="told.jsonl")
    assert told(channel, data) == told(channel, data) == "written"
    path = data.path / "told.jsonl"
    first, second = path.read_text().splitlines()
    assert first == second
    assert json.loads(first) == {
        "version": 1,
        "finding": "0123456789abcdef",
        "step": 2,
        "level": "high",
        "title_fr": "Quelqu'un a élevé ses droits",
        "title_en": "Somebody raised his rights",
        "opened": "2026-11-18T11:06:40.000Z",
        "last": "2026-11-18T11:07:40.000Z",
        "count": 3,
        "todo_fr": "Demandez-lui pourquoi.",
        "todo_en": "Ask him why.",
        "look": "hygie finding show 0123456789abcdef",
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_a_link_or_has_no_folder_is_not_written(data: DataFolder, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in ("link", "absent/told"):
        assert refusal(FileSettings(name="file", path=path), data)[0] == "HYG-4W0"
    assert not (tmp_path / "elsewhere").exists()


def test_a_webhook_gets_what_its_key_signed(hook: Receiver, files: CertificateFiles, data: DataFolder) -> None:
    assert told(webhook_at(hook.port, files), data) == "200"
    assert [one["finding"] for one in hook.came] == ["0123456789abcdef"]
    assert refusal(webhook_at(hook.port, files, secret="wrong"), data) == ("HYG-4W2", "401")
    assert len(hook.came) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 429, 500, 503])
def test_a_webhook_that_sends_elsewhere_or_refuses_is_told_so_and_not_followed(
    hook: Receiver, files: CertificateFiles, data: DataFolder, status: int
) -> None:
    hook.status = status
    assert refusal(webhook_at(hook.port, files), data) == ("HYG-4W2", str(status))
    assert hook.asked == 1


def test_a_mail_server_gets_one_message_for_people(box: Receiver, files: CertificateFiles, data: DataFolder) -> None:
    assert told(mail_at(box.port, files), data) == "250"
    (envelope,) = box.came
    assert envelope.mail_from == "hygie@hopital.example"
    assert envelope.rcpt_tos == ["astreinte@hopital.example", "rssi@hopital.example"]
    mail = email.message_from_bytes(envelope.content, policy=default)
    assert isinstance(mail, EmailMessage)
    assert mail["Subject"] == "[Hygie] HIGH : Quelqu'un a élevé ses droits / Somebody raised his rights"
    assert mail["Message-ID"] == "<0123456789abcdef.2.mail@hopital.example>"
    text = mail.get_content()
    assert "hygie finding show 0123456789abcdef" in text
    assert "Demandez-lui pourquoi." in text
    assert "Ask him why." in text


def test_a_mail_server_with_tls_from_the_first_byte(files: CertificateFiles, data: DataFolder) -> None:
    with mail_server(files, wrapped=True) as box:
        assert told(mail_at(box.port, files, tls="tls", user=None, secret=None), data) == "250"
        assert len(box.came) == 1


def test_a_mail_server_refuses_a_password_a_recipient_or_a_message(
    box: Receiver, files: CertificateFiles, data: DataFolder
) -> None:
    assert refusal(mail_at(box.port, files, secret="wrong"), data) == ("HYG-4W2", "535")
    nobody = ("nobody@hopital.example",)
    assert refusal(mail_at(box.port, files, to=nobody), data) == ("HYG-4W2", "recipients")
    assert told(mail_at(box.port, files, to=(*nobody, "rssi@hopital.example")), data) == "250, 1 of 2 refused"
    box.status = 452
    assert refusal(mail_at(box.port, files), data) == ("HYG-4W2", "452")
    assert len(box.came) == 1


def test_a_mail_server_without_starttls_gets_no_password(files: CertificateFiles, data: DataFolder) -> None:
    """Somebody on the way who hides STARTTLS gets nothing."""
    with mute() as port:
        pass
    server = Controller(Sink(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        assert refusal(mail_at(port, files), data) == ("HYG-4W2", "unsupported")
    finally:
        server.stop()


def test_a_collector_gets_rfc_5424_counted_in_octets(logs: Receiver, files: CertificateFiles, data: DataFolder) -> None:
    assert told(syslog_at(logs.port, files), data) == "written"
    assert told(syslog_at(logs.port, files, facility=4), data) == "written"
    end = time.monotonic() + 5
    while len(logs.came) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    pattern = (
        rb"<(\d+)>1 2026-11-18T11:07:40\.000Z [!-~]+ hygie - finding"
        rb' \[hygie@32473 finding="0123456789abcdef" step="2" level="high"'
        rb' opened="2026-11-18T11:06:40\.000Z" count="3"\]'
        rb" \xef\xbb\xbf(.+)"
    )
    found = [re.fullmatch(pattern, line) for line in logs.came]
    assert [one and int(one[1]) for one in found] == [13 * 8 + 3, 4 * 8 + 3]
    assert found[0] is not None
    assert found[0][2].decode().startswith("Quelqu'un a élevé ses droits / Somebody raised")


def test_a_certificate_that_nobody_we_know_signed_gets_nothing(
    hook: Receiver, logs: Receiver, box: Receiver, data: DataFolder
) -> None:
    for channel in (webhook_at(hook.port, None), syslog_at(logs.port, None), mail_at(box.port, None)):
        assert refusal(channel, data)[0] == "HYG-4W1", channel.name
    assert hook.came == logs.came == box.came == []


def test_a_certificate_of_another_name_gets_nothing(
    hook: Receiver, files: CertificateFiles, data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    found = socket.getaddrinfo("127.0.0.1", hook.port, type=socket.SOCK_STREAM)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    channel = webhook_at(hook.port, files, url=f"https://soc.example:{hook.port}/")
    assert refusal(channel, data)[0] == "HYG-4W1"


def test_who_never_answers_is_left_after_the_deadline(files: CertificateFiles, data: DataFolder) -> None:
    with mute() as port:
        for channel in (
            webhook_at(port, files),
            webhook_at(port, files, url=f"http://127.0.0.1:{port}/"),
            mail_at(port, files),
            mail_at(port, files, tls="tls"),
            syslog_at(port, files),
        ):
            began_s = time.monotonic()
            assert refusal(channel, data, seconds=0.5) == ("HYG-4W0", "timeout"), channel
            assert time.monotonic() - began_s < 2


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_who_answers_byte_by_byte_is_left_after_the_deadline(
    files: CertificateFiles, data: DataFolder, kind: str
) -> None:
    with talking(b"2", pause_s=0.05) as port:
        plain = webhook_at(port, files, url=f"http://127.0.0.1:{port}/")
        began_s = time.monotonic()
        assert refusal(plain if kind == "webhook" else mail_at(port, files), data, seconds=0.5)[0] == "HYG-4W0"
        assert time.monotonic() - began_s < 2


def test_a_mail_server_that_never_ends_its_greeting_fills_no_memory(files: CertificateFiles, data: DataFolder) -> None:
    with talking(b"220-more to come\r\n" * 1_000, pause_s=0.001) as port:
        began_s = time.monotonic()
        assert refusal(mail_at(port, files), data)[0] == "HYG-4W0"
        assert time.monotonic() - began_s < 3


def test_a_name_that_is_none_is_a_failure_like_any_other(files: CertificateFiles, data: DataFolder) -> None:
    assert refusal(mail_at(25, files, host="a" * 70 + ".example"), data)[0] == "HYG-4W0"


def test_who_is_not_there_is_told_so(files: CertificateFiles, data: DataFolder) -> None:
    with mute() as port:
        pass
    for channel in (webhook_at(port, files), mail_at(port, files), syslog_at(port, files)):
        assert refusal(channel, data) == ("HYG-4W0", "ConnectionRefusedError")


def test_a_secret_that_others_read_or_that_is_short_sends_nothing(
    hook: Receiver, files: CertificateFiles, data: DataFolder
) -> None:
    (data.path / "key").chmod(0o640)
    assert refusal(webhook_at(hook.port, files), data)[0] == "HYG-605"
    (data.path / "key").chmod(0o600)
    (data.path / "key").write_bytes(b"short\n")
    assert refusal(webhook_at(hook.port, files), data)[0] == "HYG-4W3"
    assert hook.asked == 0


def test_a_courier_that_hangs_lets_go_and_lets_the_others_work(
    hook: Receiver, files: CertificateFiles, data: DataFolder
) -> None:
    async def main() -> None:
        with mute() as port:
            stuck, fine = Courier(mail_at(port, files), data, seconds=1.0), Courier(webhook_at(hook.port, files), data)
            carrying = asyncio.create_task(stuck.carry(MESSAGE))
            assert await asyncio.wait_for(fine.carry(MESSAGE), 0.9) == "200"
            with pytest.raises(HygieError) as caught:
                await carrying
            assert caught.value.code == "HYG-4W0"
            again = asyncio.create_task(stuck.carry(MESSAGE))
            await asyncio.sleep(0.1)
            began_s = time.monotonic()
            stuck.close()  # who stops does not wait either
            with pytest.raises(HygieError):
                await again
            assert time.monotonic() - began_s < 0.5
            fine.close()

    asyncio.run(main())
