"""The journal: exported, verified by a program of its own, then altered in a copy, and the alteration located."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hygie.base.language import say
from hygie.demo.stage import Stage, check
from hygie.demo.story import Proved
from hygie.journal.tiles import BUNDLE, TILE_WIDTH, decode_bundle, encode_bundle, tile_at

VERIFY_S_MAX = 60
EXIT_TAMPERED = 50


@dataclass(frozen=True, slots=True)
class Keys:
    """What the verifier trusts: public keys of the journal, of its witness and of dossiers, as they are published."""

    log: Path
    witness: Path
    dossier: str = ""


async def journal(stage: Stage) -> Proved:
    """An altered entry is found, and located, with public keys and nothing else."""
    folder = stage.platform.folder
    keys = Keys(folder.witness / "log.key", folder.witness / "witness.pub")
    with tempfile.TemporaryDirectory(prefix="hygie-demo-") as name:
        export, altered = Path(name, "journal"), Path(name, "altered")
        async with stage.platform.rooms() as pools:
            reader = await pools.house.journal_reader(pools.records)
            exported = await reader.export(export)
        whole = await asyncio.to_thread(verify, export, keys)
        check(whole.get("whole"), fr=f"l'export est refusé ({whole})", en=f"the export is refused ({whole})")
        index = exported.entries // 2
        await asyncio.to_thread(shutil.copytree, export, altered)
        await asyncio.to_thread(alter, altered, index, exported.end)
        refused = await asyncio.to_thread(verify, altered, keys)
    check(
        refused.get("whole") is False and refused.get("index") == index,
        fr=f"l'entrée {index} est altérée et le vérificateur répond {refused}",
        en=f"entry {index} is altered and the verifier answers {refused}",
    )
    proved = Proved(facts={"entries": whole["entries"], "cosigned": whole["cosigned_s"] is not None, "altered": index})
    proved.lines = [
        say(
            fr=f"{whole['entries']} entrées exportées (lectures, refus, écritures, administration), signées,"
            f" contresignées par le témoin : intègres, vérifiées en {whole['seconds']:.2f} s.",
            en=f"{whole['entries']} entries exported (reads, refusals, writes, administration), signed, cosigned by"
            f" the witness: whole, verified in {whole['seconds']:.2f} s.",
        ),
        say(
            fr=f"Un bit changé dans l'entrée {index} d'une copie : hygie-verify la refuse et nomme l'entrée {index}.",
            en=f"One bit changed in entry {index} of a copy: hygie-verify refuses it and names entry {index}.",
        ),
    ]
    proved.commands = [
        "hygie journal export ./journal",
        "hygie-verify ./journal --key $HYGIE_DATA/witness/log.key --witness $HYGIE_DATA/witness/witness.pub",
    ]
    return proved


def verify(export: Path, keys: Keys) -> dict[str, Any]:
    """What ``hygie-verify`` answers, run as the separate program that it is. Blocks."""
    done = subprocess.run(  # noqa: S603 (our own verifier)
        [
            *(sys.executable, "-m", "hygie.verify", str(export)),
            *("--key", str(keys.log), "--witness", str(keys.witness), "--json"),
            *(("--dossier-key", keys.dossier) if keys.dossier else ()),
        ],
        capture_output=True,
        timeout=VERIFY_S_MAX,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        answer = {"exit": done.returncode}
    expected = 0 if answer.get("whole") else EXIT_TAMPERED
    check(
        done.returncode == expected,
        fr=f"hygie-verify se termine avec {done.returncode}",
        en=f"hygie-verify ends with {done.returncode}",
    )
    return answer


def alter(export: Path, index: int, size: int) -> None:
    """Change one bit of one entry of an export. Blocks."""
    path = export / tile_at(BUNDLE, index // TILE_WIDTH, size).name
    leaves = decode_bundle(path.read_bytes())
    leaf = bytearray(leaves[index % TILE_WIDTH])
    leaf[len(leaf) // 2] ^= 1
    leaves[index % TILE_WIDTH] = bytes(leaf)
    path.write_bytes(encode_bundle(leaves))
