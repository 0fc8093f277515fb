"""The witness: a program of its own, with its own key, run by another administrator.

It cosigns a log's checkpoint only after it checked that the new tree continues the one it cosigned before, and after
that decision is on its disk.  Protocol: https://c2sp.org/tlog-witness (``POST /add-checkpoint``), cosignature/v1.
One addition, for recovery: ``GET /<sha256 of the origin, hexadecimal>/checkpoint`` gives the latest cosigned note.

State folder: ``witness.key`` (32-byte Ed25519 seed, owner only), ``witness.pub``, ``latest/<sha256 of the origin>``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.base.clock import Clock, SystemClock
from hygie.base.files import make_private_folder, write_durably
from hygie.journal.checkpoint import (
    COSIGNATURE_V1,
    ED25519,
    TREE_SIZE_MAX,
    Checkpoint,
    VerifierKey,
    cosignature_line,
    cosigned_message,
    parse_checkpoint,
    parse_note,
    signature_line,
    signed_note,
    valid_name,
    verify_checkpoint,
)
from hygie.journal.errors import (
    CheckpointInvalidError,
    ProofInvalidError,
    WitnessSettingsError,
)
from hygie.journal.http1 import Answer, Request, is_socket_path, start_server
from hygie.journal.merkle import verify_consistency

PROOF_LINES_MAX = 63
_log = logging.getLogger("hygie.journal.witness")


class AddCheckpoint(NamedTuple):
    """A submission: the size the log believes cosigned, the proof from it, the signed note."""

    old_size: int
    proof: list[bytes]
    note: bytes


def encode_submission(submission: AddCheckpoint) -> bytes:
    """The body of add-checkpoint."""
    lines = [f"old {submission.old_size}", *(base64.b64encode(item).decode() for item in submission.proof), "", ""]
    return "\n".join(lines).encode() + submission.note


def parse_submission(body: bytes) -> AddCheckpoint:
    """Read the body of add-checkpoint.

    Raises: ValueError: malformed.
    """
    head, separator, note = body.partition(b"\n\n")
    first, *lines = head.decode("ascii").split("\n")
    word, _, size = first.partition(" ")
    if not separator or word != "old" or not size.isdigit() or str(int(size)) != size or int(size) > TREE_SIZE_MAX:
        raise ValueError("old size")
    if len(lines) > PROOF_LINES_MAX:
        raise ValueError("too many proof lines")
    proof = [base64.b64decode(line, validate=True) for line in lines]
    if any(len(item) != 32 for item in proof):
        raise ValueError("proof line")
    return AddCheckpoint(int(size), proof, note)


def log_id(origin: str) -> str:
    """The name of a log in files and paths."""
    return hashlib.sha256(origin.encode()).hexdigest()


class Witness:
    """Decides and remembers. Its folder is its memory: losing it is starting to witness anew."""

    def __init__(self, state: Path, *, name: str, logs: Sequence[VerifierKey], clock: Clock) -> None:
        """Open or create the state.

        Raises: WitnessSettingsError: bad name, no log, a key that others may read, or a latest checkpoint that no
        trusted log signed.
        """
        if not valid_name(name) or not logs or any(key.kind != ED25519 for key in logs):
            raise WitnessSettingsError(setting="witness", reason="a name and at least one log's key are needed")
        make_private_folder(state)
        make_private_folder(state / "latest")
        self._latest_folder = state / "latest"
        self._logs = {origin: [key for key in logs if key.name == origin] for origin in {key.name for key in logs}}
        self._private_key = _load_key(state / "witness.key")
        self.key = VerifierKey(name, COSIGNATURE_V1, self._private_key.public_key().public_bytes_raw())
        write_durably(state / "witness.pub", f"{self.key.encode()}\n".encode(), mode=0o644)
        self._clock = clock
        self._lock = asyncio.Lock()  # check and record are one act: a slow request must not roll a quick one back
        self._deciding: set[asyncio.Task[Answer]] = set()
        self._notes: dict[str, bytes] = {}
        for origin in self._logs:
            self._load_latest(origin)

    async def handle(self, request: Request) -> Answer:
        """Answer one HTTP request."""
        if request.path == "/add-checkpoint":
            return await self._add(request.body) if request.method == "POST" else Answer(405)
        for origin, note in self._notes.items():
            if request.path == f"/{log_id(origin)}/checkpoint":
                return Answer(200, note) if request.method == "GET" else Answer(405)
        return Answer(404)

    async def _add(self, body: bytes) -> Answer:
        try:
            submission = parse_submission(body)
            claimed = parse_checkpoint(parse_note(submission.note).text)
        except (ValueError, binascii.Error, CheckpointInvalidError):
            return Answer(400)
        keys = self._logs.get(claimed.origin)
        if keys is None:
            return Answer(404)
        if not _signed(submission.note, keys):
            return Answer(403)
        if submission.old_size > claimed.size:
            return Answer(400)
        # What is begun ends, even if who asked has gone: the disk must not remember what memory does not.
        deciding = asyncio.create_task(self._decide_alone(submission, claimed))
        self._deciding.add(deciding)
        deciding.add_done_callback(self._deciding.discard)
        return await asyncio.shield(deciding)

    async def _decide_alone(self, submission: AddCheckpoint, claimed: Checkpoint) -> Answer:
        async with self._lock:
            return await self._decide(submission, claimed)

    async def _decide(self, submission: AddCheckpoint, claimed: Checkpoint) -> Answer:
        note = self._notes.get(claimed.origin)
        latest = parse_checkpoint(parse_note(note).text) if note else None
        latest_size = latest.size if latest else 0
        if submission.old_size != latest_size:
            return Answer(409, f"{latest_size}\n".encode(), "text/x.tlog.size")
        if latest is not None and latest.size == claimed.size and latest.root != claimed.root:
            _log.critical("fork refused: two roots of size %d", claimed.size)
            return Answer(409, f"{latest_size}\n".encode(), "text/x.tlog.size")
        try:
            if latest is not None:
                verify_consistency(latest.size, claimed.size, latest.root, claimed.root, submission.proof)
            elif submission.proof:
                return Answer(422)
        except ProofInvalidError:
            _log.critical("fork refused: size %d does not continue size %d", claimed.size, latest_size)
            return Answer(422)
        text, signatures = parse_note(submission.note)
        at_s = self._clock.now_ms() // 1000
        line = cosignature_line(self.key, at_s, self._private_key.sign(cosigned_message(text, at_s)))
        known = {(key.name, key.key_id) for key in self._logs[claimed.origin]}
        kept = [signature_line(*item) for item in signatures if item[:2] in known]
        cosigned = signed_note(text, *kept, line)
        await asyncio.to_thread(write_durably, self._latest_folder / log_id(claimed.origin), cosigned)
        self._notes[claimed.origin] = cosigned
        return Answer(200, line)

    def _load_latest(self, origin: str) -> None:
        try:
            note = (self._latest_folder / log_id(origin)).read_bytes()
        except FileNotFoundError:
            return
        try:
            if not _signed(note, self._logs[origin]):
                raise WitnessSettingsError(setting="witness", reason="the latest checkpoint is not its log's")
        except CheckpointInvalidError as error:
            raise WitnessSettingsError(setting="witness", reason="the latest checkpoint is damaged") from error
        self._notes[origin] = note


async def run_witness(
    state: Path,
    listen: str,
    *,
    name: str,
    logs: Sequence[VerifierKey],
    clock: Clock | None = None,
    stop: asyncio.Event | None = None,
    ready: asyncio.Event | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until ``stop`` is set.

    Args: listen: a unix socket's path (made 0600) or host:port; logs: the Ed25519 keys of the logs to witness; tls:
    for host:port, to answer ``https``.
    Raises: WitnessSettingsError; OSError: the address is taken.
    """
    witness = Witness(state, name=name, logs=logs, clock=clock or SystemClock())
    if is_socket_path(listen):
        await asyncio.to_thread(Path(listen).unlink, missing_ok=True)
    mask = os.umask(0o177)
    try:
        server = await start_server(listen, witness.handle, tls=tls)
    finally:
        os.umask(mask)
    async with server:
        if ready is not None:
            ready.set()
        await (stop or asyncio.Event()).wait()


def _signed(note: bytes, keys: Sequence[VerifierKey]) -> bool:
    for key in keys:
        try:
            verify_checkpoint(note, log_key=key)
        except CheckpointInvalidError:
            continue
        return True
    return False


def _load_key(path: Path) -> Ed25519PrivateKey:
    try:
        seed = path.read_bytes()
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        write_durably(path, key.private_bytes_raw())
        return key
    if len(seed) != 32 or path.stat().st_mode & 0o077:
        raise WitnessSettingsError(setting="witness.key", reason="not a key, or others may read it")
    return Ed25519PrivateKey.from_private_bytes(seed)
