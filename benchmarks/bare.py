"""``bare``: what this machine does without Hygie, measured in the same run, so that ratios travel between machines.

One process, one Bundle after the other: parse the same bytes (msgspec), seal each resource (zstd, AES-256-GCM), write
and fsync the sealed Bundle in three folders, COPY its rows (16 tokens each, under a GIN index) into the same
PostgreSQL, COMMIT.  No validation, no keys of patients, no journal, no HTTP.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.data import Bundle
from benchmarks.installation import Installation
from benchmarks.load import PROCESSES, answer_of

TOKENS = 16
SECONDS = 4.0
_TABLE = """
CREATE SCHEMA bare;
CREATE TABLE bare.object (id bytea, version integer, type integer, compartment bytea, seq bigint, start integer,
    length integer, at_ms bigint, tokens bigint[], PRIMARY KEY (id, version));
CREATE INDEX ON bare.object USING gin (tokens);
"""
_COPY = "COPY bare.object FROM STDIN (FORMAT BINARY)"
_TYPES = ("bytea", "int4", "int4", "bytea", "int8", "int4", "int4", "int8", "int8[]")


def measure(installation: Installation, bundles: Sequence[Bundle], *, seconds: float = SECONDS) -> float:
    """Resources a second, in a process of its own; what it wrote is removed."""
    answers = PROCESSES.Queue()
    folders = [installation.data / "bare" / name for name in ("one", "two", "three")]
    process = PROCESSES.Process(
        target=_main, args=(installation.dsns().owner, folders, list(bundles), seconds, answers), daemon=True
    )
    process.start()
    rate = float(answer_of(answers, [process]))
    process.join()
    return rate


def _main(dsn: str, folders: list[Path], bundles: list[Bundle], seconds: float, answers: Any) -> None:
    try:
        answers.put(_run(dsn, folders, bundles, seconds))
    except BaseException as error:
        answers.put(f"{type(error).__name__}: {error}")


def _run(dsn: str, folders: Sequence[Path], bundles: Sequence[Bundle], seconds: float) -> float:
    for folder in folders:
        folder.mkdir(parents=True)
    with psycopg.connect(dsn) as connection:
        connection.execute(_TABLE)
        connection.commit()
        compressor = zstandard.ZstdCompressor(level=1)
        done = turn = 0
        began_s = time.perf_counter()
        while time.perf_counter() - began_s < seconds:
            done += _one(connection, compressor, folders, bundles[turn % len(bundles)].raw, turn)
            turn += 1
        rate = done / (time.perf_counter() - began_s)
        connection.execute("DROP SCHEMA bare CASCADE")
        connection.commit()
    for folder in folders:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    return rate


def _one(
    connection: psycopg.Connection[Any],
    compressor: zstandard.ZstdCompressor,
    folders: Sequence[Path],
    raw: bytes,
    turn: int,
) -> int:
    box = AESGCM(os.urandom(32))
    compartment = os.urandom(16)
    sealed: list[bytes] = []
    rows: list[tuple[Any, ...]] = []
    start, at_ms = 0, time.time_ns() // 1_000_000
    for entry in msgspec.json.decode(raw)["entry"]:
        resource = entry["resource"]
        nonce = os.urandom(12)
        piece = nonce + box.encrypt(nonce, compressor.compress(msgspec.json.encode(resource)), None)
        rows.append((os.urandom(16), 1, 1, compartment, turn, start, len(piece), at_ms, _tokens(resource)))
        sealed.append(piece)
        start += len(piece)
    pack = b"".join(sealed)
    for folder in folders:
        descriptor = os.open(folder / str(turn), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, pack)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for row in rows:
            copy.write_row(row)
    connection.commit()
    return len(rows)


def _tokens(resource: Any) -> list[int]:
    """Tokens of the first texts of a resource."""
    found: list[int] = []
    for text in _texts(resource):
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        found.append(int.from_bytes(digest, "big", signed=True))
        if len(found) == TOKENS:
            break
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
