"""Attacks on the KMS's socket: who may ask, and what bad frames, silence and death do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hygie.keys.client import KmsClient
from hygie.keys.errors import (
    KmsRequestError,
    KmsSealedError,
    KmsSettingsError,
    KmsUnavailableError,
    PeerRefusedError,
    ShareRefusedError,
    UnsealTooSoonError,
    WrongPassphraseError,
)
from hygie.keys.file_kms import FileKms
from hygie.keys.kms import KmsStatus
from hygie.keys.messages import QUESTION_BYTES_MAX, Status, answer_frame, question_frame, read_answer
from hygie.keys.sealing import Passphrase, SharePlan
from hygie.keys.server import CONNECTIONS_MAX, KmsServer
from tests.contract.kms_stage import KMS_MAIN, PASSPHRASE, PERMIT, REASON, KmsProcess, make_state, opened

TENANT = bytes(range(16))
ENVIRONMENT = bytes(range(16, 32))
STATUS = question_frame(7, Status())
NOBODY = 65534


def connect(process: KmsProcess) -> socket.socket:
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.settimeout(5)
    raw.connect(str(process.socket))
    return raw


def ends(raw: socket.socket) -> bool:
    """The other end closes without a word."""
    try:
        return raw.recv(1 << 16) == b""
    except ConnectionError:
        return True


def serves(process: KmsProcess) -> None:
    async def main() -> None:
        client = process.client()
        try:
            assert not (await client.status()).sealed
        finally:
            await client.close()

    asyncio.run(main())


BAD_FRAMES: dict[str, Callable[[], bytes]] = {
    "oversized": lambda: struct.pack(">I", QUESTION_BYTES_MAX + 1) + b"x",
    "four_gigabytes": lambda: b"\xff\xff\xff\xff",
    "empty": lambda: struct.pack(">I", 0),
    "no_question": lambda: struct.pack(">I", 4) + b"\0\0\0\1",
    "http": lambda: b"GET / HTTP/1.1\r\nHost: kms\r\n\r\n",
}
BAD_QUESTIONS: dict[str, bytes] = {
    "noise": b"\xc1\xff\x00",
    "not_an_array": b"\x80",
    "unknown_operation": b"\x91\xa8make-tea",
    "missing_fields": b"\x91\xadcreate-tenant",
    "wrong_type": b"\x92\xadcreate-tenant\x01",
    "extra_field": b"\x93\xadcreate-tenant\xc4\x01a\xc4\x01b",
    "trailing_bytes": b"\x91\xa6status\x00",
    "bad_utf8": b"\x92\xaapublic-key\xa2\xff\xff",
    "deep": b"\x91" * 20_000,
    "huge_array": b"\xdd\xff\xff\xff\xff",
}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("kms") / "kms"
    make_state(folder)
    with KmsProcess(folder) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_frame_out_of_bounds_ends_its_connection_alone(process: KmsProcess, frame: Callable[[], bytes]) -> None:
    with connect(process) as raw:
        raw.sendall(frame())
        assert ends(raw)
    serves(process)


@pytest.mark.parametrize("question", BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_a_question_out_of_format_is_refused_and_the_connection_goes_on(process: KmsProcess, question: bytes) -> None:
    with connect(process) as raw:
        raw.sendall(struct.pack(">II", 4 + len(question), 9) + question + STATUS)
        stream = raw.makefile("rb")
        size, call = struct.unpack(">II", stream.read(8))
        with pytest.raises(KmsRequestError):
            read_answer(stream.read(size - 4), None)
        assert call == 9
        size, call = struct.unpack(">II", stream.read(8))
        assert call == 7
        stream.close()


def test_noise_never_stops_the_service(process: KmsProcess) -> None:
    chance = random.Random(3)
    for _ in range(50):
        body = chance.randbytes(chance.randrange(5, 200))
        with connect(process) as raw:
            raw.sendall(struct.pack(">I", len(body)) + body)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(1 << 16):
                pass
    serves(process)


def test_more_connections_than_allowed_are_refused_and_the_first_still_served(process: KmsProcess) -> None:
    held = [connect(process) for _ in range(CONNECTIONS_MAX)]
    try:
        held[0].sendall(STATUS)
        assert held[0].recv(8)
        time.sleep(0.2)
        with connect(process) as late:
            size, _ = struct.unpack(">II", late.recv(8))
            with pytest.raises(PeerRefusedError):
                read_answer(late.recv(size), None)
            assert ends(late)
    finally:
        for raw in held:
            raw.close()
    time.sleep(0.2)
    serves(process)


def test_a_frame_begun_and_never_ended_is_dropped(tmp_path: Path) -> None:
    make_state(tmp_path / "kms")
    kms = opened(tmp_path / "kms")

    async def main() -> None:
        server = KmsServer(kms, tmp_path / "s", frame_timeout_s=0.2)
        await server.start()
        for half in (STATUS[:2], STATUS[:9]):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            writer.write(half)
            async with asyncio.timeout(3):
                assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        client = KmsClient(tmp_path / "s")
        assert not (await client.status()).sealed
        await client.close()
        await server.stop()

    asyncio.run(main())
    kms.close()


def test_a_peer_that_reads_no_answer_fills_nothing_and_does_not_hold_up_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_state(tmp_path / "kms")
    kms = opened(tmp_path / "kms")

    async def main() -> None:
        server = KmsServer(kms, tmp_path / "s")
        await server.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
            deaf.setblocking(False)
            deaf.connect(str(tmp_path / "s"))
            answered = [0]
            real = kms.status

            def status() -> KmsStatus:
                answered[0] += 1
                return real()

            monkeypatch.setattr(kms, "status", status)
            questions, taken, before = STATUS * 100_000, 0, -1
            while answered[0] != before:  # until it stops asking for more
                before = answered[0]
                for _ in range(50):
                    with contextlib.suppress(BlockingIOError):
                        taken += deaf.send(questions[taken : taken + 65_536])
                    await asyncio.sleep(0.01)
                assert answered[0] < 5_000  # what the sockets hold, not what it was asked
            assert taken > answered[0] * len(STATUS)
            client = KmsClient(tmp_path / "s")
            assert not (await client.status()).sealed
            await client.close()
            async with asyncio.timeout(5):
                await server.stop()

    asyncio.run(main())
    kms.close()


def test_the_socket_and_the_process_are_closed_to_others(process: KmsProcess) -> None:
    assert process.socket.stat().st_mode & 0o777 == 0o600
    assert process.process is not None
    if sys.platform.startswith("linux"):
        limits = Path(f"/proc/{process.process.pid}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0\s", limits)


ASK_AS = """
import asyncio, os, sys
from pathlib import Path
from hygie.base.errors import HygieError
from hygie.keys.client import KmsClient
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
async def main():
    client = KmsClient(Path(sys.argv[1]), timeout_s=3)
    for ask in (client.status(), client.export_state(), client.unseal(passphrase="x"),
                client.destroy_epoch(bytes(16), bytes(16), 1, live_compartments=0),
                client.unwrap_record(-1, 10), client.rotate("root")):
        try:
            await ask
            print("done")
        except HygieError as error:
            print(error.code)
    await client.close()
asyncio.run(main())
"""


def asked_as(uid: int, path: Path) -> list[str]:
    """The codes a user gets for a status, then for five acts of administration."""
    path.parent.chmod(0o711)
    command = [sys.executable, "-c", ASK_AS.format(uid=uid), str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@needs_root
def test_another_user_cannot_connect(process: KmsProcess) -> None:
    assert set(asked_as(NOBODY, process.socket)) == {"HYG-430"}


@needs_root
def test_another_user_is_refused_by_the_kernel_s_word_where_the_file_lets_it_in(tmp_path: Path) -> None:
    make_state(tmp_path / "kms")
    with KmsProcess(tmp_path / "kms", "--allow-uid", str(NOBODY - 1)) as process:
        codes = asked_as(NOBODY, process.socket)
        assert len(codes) == 6
        assert set(codes) <= {"HYG-231", "HYG-430"}  # closed at once: the refusal may not be read in time
        assert "connection refused: pid" in process.log()


@needs_root
def test_a_hosting_user_works_and_never_administers(tmp_path: Path) -> None:
    make_state(tmp_path / "kms")
    with KmsProcess(tmp_path / "kms", "--allow-uid", str(NOBODY)) as process:
        assert asked_as(NOBODY, process.socket) == ["done", *["HYG-231"] * 5]


# --- sealed


def test_a_sealed_service_says_so_and_opens_by_shares_one_holder_at_a_time(tmp_path: Path) -> None:
    shares = make_state(tmp_path / "kms", SharePlan(3, 5))
    other = make_state(tmp_path / "other", SharePlan(2, 3))
    with KmsProcess(tmp_path / "kms", passphrase=None) as process:

        async def main() -> None:
            client = process.client()
            status = await client.status()
            assert (status.sealed, status.properties.shares_needed, status.properties.shares_made) == (True, 3, 5)
            with pytest.raises(KmsSealedError):
                await client.create_tenant(TENANT)
            with pytest.raises(KmsSealedError):
                await client.sign("journal", b"x")
            for bad in (other[0], shares[0][:-1] + ("B" if shares[0].endswith("A") else "A"), "hygie-", ""):
                with pytest.raises((ShareRefusedError, KmsRequestError)):
                    await client.unseal(shares=[bad])
            with pytest.raises(ShareRefusedError):
                await client.unseal(passphrase="x")
            assert await client.unseal(shares=[shares[4]]) == 2
            assert await client.unseal(shares=[shares[4]]) == 2  # the same one counts once
            assert await client.unseal(shares=[shares[0]]) == 1
            assert await client.unseal(shares=[shares[2].lower().replace("-", " ")]) == 0
            await client.create_tenant(TENANT)
            await client.close()

        asyncio.run(main())
        for share in shares:
            assert share[12:40] not in process.log()


def test_guessing_the_passphrase_over_the_socket_is_spaced(tmp_path: Path) -> None:
    make_state(tmp_path / "kms")
    with KmsProcess(tmp_path / "kms", passphrase=None) as process:

        async def main() -> None:
            client, second = process.client(), process.client()
            with pytest.raises(WrongPassphraseError):
                await client.unseal(passphrase="first guess of many")
            for guesser in (client, second):  # another connection does not help
                with pytest.raises(UnsealTooSoonError):
                    await guesser.unseal(passphrase=PASSPHRASE)
            await asyncio.sleep(1.1)
            assert await second.unseal(passphrase=PASSPHRASE) == 0
            await client.close()
            await second.close()

        asyncio.run(main())
        assert "first guess" not in process.log()
        assert PASSPHRASE not in process.log()


def test_logs_hold_no_key_and_no_compartment(tmp_path: Path) -> None:
    make_state(tmp_path / "kms")
    seen: list[bytes] = []
    with KmsProcess(tmp_path / "kms") as process:

        async def main() -> None:
            client = process.client()
            await client.create_tenant(TENANT)
            await client.create_environment(TENANT, ENVIRONMENT)
            compartment, key = os.urandom(16), os.urandom(32)
            epoch, (wrap,) = await client.wrap(TENANT, ENVIRONMENT, [(compartment, key)])
            seen.extend((compartment, key, await client.environment_key(TENANT, ENVIRONMENT, "pack")))
            await client.unwrap(TENANT, ENVIRONMENT, [(compartment, epoch, wrap)], permit_id=PERMIT, reason=REASON)
            with pytest.raises(Exception, match="HYG-531"):
                await client.unwrap(TENANT, ENVIRONMENT, [(compartment, epoch, b"x")], permit_id=PERMIT, reason=REASON)
            await client.close()

        asyncio.run(main())
        log = process.log()
    assert "HYG-531" in log
    for value in seen:
        assert value.hex() not in log
        assert repr(value)[2:12] not in log


# --- death and silence


def test_a_killed_service_is_told_as_unavailable_and_the_client_finds_the_next(tmp_path: Path) -> None:
    make_state(tmp_path / "kms")
    with KmsProcess(tmp_path / "kms") as process:

        async def main() -> None:
            client = process.client(timeout_s=5)
            await client.create_tenant(TENANT)
            process.kill()
            for _ in range(3):
                with pytest.raises(KmsUnavailableError):
                    await client.status()
            process.start()  # over the socket file of the dead one
            assert (await client.status()).tenants == 1
            await client.close()
            with pytest.raises(KmsUnavailableError):
                await client.status()

        asyncio.run(main())


def test_a_silent_service_does_not_hold_its_caller(tmp_path: Path) -> None:
    async def main() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_unix_server(silent, str(tmp_path / "s"))
        client = KmsClient(tmp_path / "s", timeout_s=0.2)
        started = time.monotonic()
        with pytest.raises(KmsUnavailableError):
            await client.status()
        assert time.monotonic() - started < 2
        await client.close()
        server.close()
        await server.wait_closed()

    asyncio.run(main())


GARBAGE_ANSWERS = {
    "oversized": b"\xff\xff\xff\xff",
    "empty": struct.pack(">I", 0),
    "unreadable": struct.pack(">II", 7, 1) + b"\0\xc1\xc1",
    "other_type": answer_frame(1, 5),
    "unknown_code": struct.pack(">II", 4 + 10, 1) + b"\x01\x92\xa6HYG-99\x80",
}


@pytest.mark.parametrize("garbage", GARBAGE_ANSWERS.values(), ids=GARBAGE_ANSWERS)
def test_an_unreadable_answer_is_unavailable_never_a_key(tmp_path: Path, garbage: bytes) -> None:
    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(4)
            writer.write(garbage)
            await reader.read()
            writer.close()

        server = await asyncio.start_unix_server(answer, str(tmp_path / "s"))
        client = KmsClient(tmp_path / "s", timeout_s=0.5)
        with pytest.raises(KmsUnavailableError):
            await client.environment_key(TENANT, ENVIRONMENT, "pack")
        await client.close()
        server.close()
        await server.wait_closed()

    asyncio.run(main())


# --- settings that do not start


def start_refused(state: Path, tmp_path: Path, *arguments: str) -> str:
    command = [sys.executable, str(KMS_MAIN), "--state", str(state), "--socket", str(tmp_path / "s")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=20)
    assert "Traceback" not in done.stderr
    return f"{done.returncode} {done.stderr.split()[0]}"


def test_bad_settings_do_not_start(tmp_path: Path) -> None:
    state = tmp_path / "kms"
    make_state(state)
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    secret.chmod(0o644)
    assert start_refused(state, tmp_path, "--passphrase-file", str(secret)) == "60 HYG-605"
    secret.chmod(0o600)
    assert start_refused(state, tmp_path, "--passphrase-file", str(secret), "--production") == "60 HYG-631"  # scrypt
    assert start_refused(state, tmp_path, "--passphrase-file", str(tmp_path / "absent")) == "60 HYG-605"
    assert start_refused(tmp_path / "absent", tmp_path, "--passphrase-file", str(secret)) == "60 HYG-631"
    secret.write_text("wrong")
    assert start_refused(state, tmp_path, "--passphrase-file", str(secret)) == "10 HYG-131"
    state.chmod(0o755)
    assert start_refused(state, tmp_path, "--passphrase-file", str(secret)) == "60 HYG-631"


def test_a_weak_passphrase_makes_no_production_state(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="HYG-601"):
        FileKms.create(tmp_path / "kms", Passphrase("azerty123"), production=True)
    assert not (tmp_path / "kms").exists()


def test_a_socket_in_a_folder_of_everyone_or_with_a_long_name_is_refused(tmp_path: Path) -> None:
    make_state(tmp_path / "kms")
    kms = opened(tmp_path / "kms")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    async def main() -> None:
        for path in (shared / "s", tmp_path / ("s" * 101)):
            with pytest.raises(KmsSettingsError):
                await KmsServer(kms, path).start()

    asyncio.run(main())
    kms.close()
