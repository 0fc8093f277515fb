"""The witness: the protocol's answers one by one, its memory, its limits, and its own process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from hygie.journal import merkle
from hygie.journal import witness as witness_module
from hygie.journal.checkpoint import (
    Checkpoint,
    VerifierKey,
    note_text,
    signature_line,
    signed_note,
    verify_checkpoint,
    verify_cosignature,
)
from hygie.journal.errors import WitnessRefusedError, WitnessSettingsError, WitnessUnavailableError
from hygie.journal.http1 import Request, request
from hygie.journal.witness import AddCheckpoint, Witness, encode_submission, parse_submission, run_witness
from hygie.journal.witness_client import WitnessBehindError, WitnessClient
from tests.unit.journal.stage import LocalSigner, TestClock

SIGNER = LocalSigner()
HASHES = [sha256(bytes([number])).digest() for number in range(50)]
FORK = [*HASHES[:10], *reversed(HASHES[10:])]


def note_of(size: int, hashes: list[bytes] = HASHES, signer: LocalSigner = SIGNER, origin: str = SIGNER.name) -> bytes:
    text = note_text(Checkpoint(origin, size, merkle.root_of(hashes[:size])))
    return signed_note(text, signature_line(signer.key.name, signer.key.key_id, signer.sign(text)))


def submission(old: int, size: int, hashes: list[bytes] = HASHES) -> AddCheckpoint:
    return AddCheckpoint(old, merkle.consistency_proof(old, hashes[:size]), note_of(size, hashes))


@asynccontextmanager
async def running(state: Path, address: str) -> AsyncIterator[WitnessClient]:
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        run_witness(state, address, name="w.test", logs=[SIGNER.key], clock=TestClock(), stop=stop, ready=ready)
    )
    await asyncio.wait_for(ready.wait(), 10)
    try:
        yield WitnessClient(address, VerifierKey.parse((state / "witness.pub").read_text()))
    finally:
        stop.set()
        await task


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hygie-w-") as path:
        yield Path(path)


def test_it_cosigns_what_continues_and_remembers(folder: Path) -> None:
    async def main() -> None:
        address = str(folder / "s")
        async with running(folder / "state", address) as client:
            assert await client.latest(SIGNER.name) is None
            for old, size in ((0, 3), (3, 3), (3, 10), (10, 41)):
                cosigned = await client.add_checkpoint(submission(old, size))
                assert verify_checkpoint(cosigned, log_key=SIGNER.key).size == size
                verify_cosignature(cosigned, witness_key=client.key)
            assert Path(address).stat().st_mode & 0o777 == 0o600
        async with running(folder / "state", address) as client:
            latest = await client.latest(SIGNER.name)
            assert latest is not None
            assert verify_checkpoint(latest, log_key=SIGNER.key).size == 41
            with pytest.raises(WitnessBehindError) as caught:
                await client.add_checkpoint(submission(10, 50))
            assert caught.value.size == 41

    asyncio.run(main())


def test_it_refuses_forks_and_rollbacks(folder: Path) -> None:
    async def main() -> None:
        async with running(folder / "state", str(folder / "s")) as client:
            await client.add_checkpoint(submission(0, 20))
            with pytest.raises(WitnessRefusedError):
                await client.add_checkpoint(submission(20, 20, FORK))
            with pytest.raises(WitnessRefusedError):
                await client.add_checkpoint(submission(20, 30, FORK))
            with pytest.raises(WitnessRefusedError):
                await client.add_checkpoint(AddCheckpoint(20, [], note_of(30)))
            with pytest.raises(WitnessBehindError):
                await client.add_checkpoint(submission(5, 10))
            with pytest.raises(WitnessBehindError):
                await client.add_checkpoint(submission(0, 5, FORK))
            latest = await client.latest(SIGNER.name)
            assert latest is not None
            assert verify_checkpoint(latest, log_key=SIGNER.key).size == 20

    asyncio.run(main())


def test_two_submissions_at_once_never_roll_back(folder: Path) -> None:
    async def main() -> None:
        async with running(folder / "state", str(folder / "s")) as client:
            calls = [client.add_checkpoint(submission(0, size)) for size in range(1, 30)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(isinstance(outcome, bytes) for outcome in outcomes) == 1

    asyncio.run(main())


def test_who_leaves_before_the_disk_has_it_leaves_one_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cosigned and on its way to the disk when the caller goes: what comes next must continue that tree."""
    real, slow = witness_module.write_durably, threading.Event()

    def write(path: Path, data: bytes, **how: int) -> None:
        slow.wait(5)
        real(path, data, **how)

    async def main() -> None:
        witness = Witness(folder / "state", name="w.test", logs=[SIGNER.key], clock=TestClock())
        monkeypatch.setattr(witness_module, "write_durably", write)
        asked = asyncio.create_task(witness.handle(post(submission(0, 20))))
        await asyncio.sleep(0.1)
        asked.cancel()
        fork = asyncio.create_task(witness.handle(post(submission(0, 30, FORK))))
        await asyncio.sleep(0.1)
        slow.set()
        assert (await fork).status == 409
        assert (await witness.handle(post(submission(20, 25)))).status == 200

    def post(what: AddCheckpoint) -> Request:
        return Request("POST", "/add-checkpoint", encode_submission(what))

    asyncio.run(main())


def test_answers_of_the_protocol(folder: Path) -> None:
    async def main() -> None:
        address = "127.0.0.1:0"
        witness = Witness(folder / "state", name="w.test", logs=[SIGNER.key], clock=TestClock())
        from hygie.journal.http1 import start_server

        server = await start_server(address, witness.handle)
        async with server:
            address = "{}:{}".format(*server.sockets[0].getsockname())
            body = encode_submission(submission(0, 5))

            async def post(content: bytes) -> int:
                return (await request(address, "POST", "/add-checkpoint", content)).status

            assert await post(b"") == 400
            assert await post(body.replace(b"old 0", b"old 00")) == 400
            assert await post(body.replace(b"old 0", b"old 6")) == 400
            assert await post(b"old 0\n" + b"A" * 44 + b"\n" * 2) == 400
            assert await post(b"old 0\n" + b"\n".join([b"A" * 43 + b"="] * 64) + b"\n\n" + note_of(5)) == 400
            assert await post(encode_submission(AddCheckpoint(0, [], note_of(5, origin="other.test")))) == 404
            assert await post(encode_submission(AddCheckpoint(0, [], note_of(5, signer=LocalSigner(9))))) == 403
            assert await post(encode_submission(AddCheckpoint(0, [bytes(32)], note_of(5)))) == 422
            assert await post(bytes(100_000)) == 413
            assert await post(body) == 200
            conflict = await witness.handle(Request("POST", "/add-checkpoint", body))
            assert conflict == (409, b"5\n", "text/x.tlog.size")
            assert (await request(address, "GET", "/add-checkpoint")).status == 405
            assert (await request(address, "GET", "/elsewhere")).status == 404

    asyncio.run(main())


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /add-checkpoint HTTP/1.1\r\n\r\n", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400"),
        (b"POST /x HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", b"413"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"413"),
    ],
)
def test_what_is_not_http_is_refused(folder: Path, raw: bytes, status: bytes) -> None:
    async def main() -> None:
        async with running(folder / "state", str(folder / "s")):
            reader, writer = await asyncio.open_unix_connection(str(folder / "s"))
            with contextlib.suppress(OSError):
                writer.write(raw)
                await writer.drain()
            assert (await reader.readline()).split(b" ")[1] == status
            writer.close()

    asyncio.run(main())


def test_weak_or_damaged_state_refuses_to_start(folder: Path) -> None:
    state = folder / "state"
    Witness(state, name="w.test", logs=[SIGNER.key], clock=TestClock())
    (state / "witness.key").chmod(0o644)
    with pytest.raises(WitnessSettingsError):
        Witness(state, name="w.test", logs=[SIGNER.key], clock=TestClock())
    (state / "witness.key").chmod(0o600)
    (state / "latest" / sha256(SIGNER.name.encode()).hexdigest()).write_bytes(b"damaged")
    with pytest.raises(WitnessSettingsError):
        Witness(state, name="w.test", logs=[SIGNER.key], clock=TestClock())
    for name, logs in (("", [SIGNER.key]), ("w+1", [SIGNER.key]), ("w.test", [])):
        with pytest.raises(WitnessSettingsError):
            Witness(folder / "other", name=name, logs=logs, clock=TestClock())


def test_a_false_witness_is_not_believed(folder: Path) -> None:
    async def main() -> None:
        async with running(folder / "state", str(folder / "s")) as client:
            stranger = WitnessClient(client.address, VerifierKey("w.test", 4, bytes(32)))
            with pytest.raises(WitnessUnavailableError):
                await stranger.add_checkpoint(submission(0, 5))
            with pytest.raises(WitnessUnavailableError):
                await stranger.latest(SIGNER.name)

    asyncio.run(main())


def test_submissions_come_back() -> None:
    sent = submission(7, 33)
    assert parse_submission(encode_submission(sent)) == sent


def test_it_runs_as_its_own_process_and_survives_a_kill(folder: Path) -> None:
    (folder / "log.pub").write_text(SIGNER.key.encode() + "\n")
    command = [sys.executable, "-m", "hygie", "witness", "--data", str(folder), "--name", "w.test"]
    command += ["--listen", str(folder / "s"), "--log-key", str(folder / "log.pub")]

    async def cosign(old: int, size: int) -> bytes:
        client = WitnessClient(str(folder / "s"), VerifierKey.parse((folder / "witness/witness.pub").read_text()))
        return await client.add_checkpoint(submission(old, size))

    def started() -> subprocess.Popen[bytes]:
        (folder / "s").unlink(missing_ok=True)
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 20
        while not (folder / "s").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    process = started()
    asyncio.run(cosign(0, 12))
    process.kill()
    process.wait()
    process = started()
    asyncio.run(cosign(12, 30))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
