"""The drill of a journal that somebody altered: export, alter one entry in the copy, and see the verifier name it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from hygie.backups.drill import DrillCheck, DrillReport, attach, to_sign
from hygie.backups.keys import KmsSigner
from hygie.base.clock import Clock
from hygie.journal.checkpoint import VerifierKey
from hygie.journal.reader import JournalReader
from hygie.journal.tiles import BUNDLE, TILE_WIDTH, decode_bundle, encode_bundle, tile_at
from hygie.keys.kms import Kms

VERIFY_S_MAX = 3_600.0  # 360 million entries at the slowest rate that is accepted
TAMPERED = 50


@dataclass(frozen=True, slots=True)
class TamperRequest:
    """reader: of the published journal; key: its public key, as the operator published it; folder: for the copies."""

    reader: JournalReader
    key: VerifierKey
    kms: Kms
    folder: Path
    clock: Clock
    operator: str
    drill_id: str


async def run_tamper_drill(request: TamperRequest) -> bytes:
    """Run the drill and give its signed report, passed or not.

    Raises: EntryNotFoundError: nothing is published yet; IntegrityError: the live journal itself is not whole.
    """
    started_at_ms = request.clock.now_ms()
    exported = await request.reader.export(request.folder / "export")
    began_s = monotonic()
    code, answer = await verify(exported.path, request.key)
    seconds = monotonic() - began_s
    checks = [DrillCheck("export verified", code == 0 and answer.get("whole") is True, f"{exported.entries} entries")]
    index = exported.start + secrets.randbelow(exported.end - exported.start)
    await asyncio.to_thread(alter_entry, exported.path, index, exported.end)
    began_s = monotonic()
    code, answer = await verify(exported.path, request.key)
    found_s = monotonic() - began_s
    named = answer.get("index")
    checks.append(DrillCheck("alteration refused", code == TAMPERED, f"exit {code}"))
    checks.append(DrillCheck("the altered entry named", named == index, f"altered {index}, named {named}"))
    report = DrillReport(
        drill_id=request.drill_id,
        kind="journal-tamper",
        operator=request.operator,
        started_at_ms=started_at_ms,
        ended_at_ms=request.clock.now_ms(),
        figures={
            "entries": exported.entries,
            "verify_entries_per_s": round(exported.entries / max(seconds, 0.001)),
            "found_s": round(found_s, 3),
        },
        checks=checks,
    )
    signer = await KmsSigner.of(request.kms, "drill")
    return attach(report, signature=await signer.sign(to_sign(report)), public_key=signer.public_key)


def alter_entry(export: Path, index: int, size: int) -> None:
    """Flip one bit of one entry in an exported folder. Blocks."""
    path = export / tile_at(BUNDLE, index // TILE_WIDTH, size).name
    leaves = decode_bundle(path.read_bytes())
    leaf = leaves[index % TILE_WIDTH]
    leaves[index % TILE_WIDTH] = leaf[:-1] + bytes([leaf[-1] ^ 1])
    path.write_bytes(encode_bundle(leaves))


async def verify(export: Path, key: VerifierKey) -> tuple[int, dict[str, Any]]:
    """What ``hygie-verify`` says of an export, as a program of its own: (exit code, its answer)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hygie.verify", str(export), "--key", key.encode(), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("HYGIE_")},
    )
    try:
        async with asyncio.timeout(VERIFY_S_MAX):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    try:
        return process.returncode, dict(json.loads(output))
    except ValueError:
        return process.returncode, {}
