"""The dossier: everything above as one file, verified by a program of its own, then forged in a copy and found out."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from hygie.base.language import say
from hygie.demo.platform import OPERATOR, Pools
from hygie.demo.stage import Stage, check
from hygie.demo.step_journal import Keys, verify
from hygie.demo.story import Proved
from hygie.dossiers import Wanted, Written, write_dossier
from hygie.proof.dossier.manifest import dossier_key
from hygie.proof.errors import TrialEvidenceError

BATCHES = "evidence/batches-000001.jsonl"
_VERDICT = re.compile(rb'"verdict":"(?:un)?satisfied"')


async def dossier(stage: Stage) -> Proved:
    """No trial passes for real; a forged run is found, its evaluation named, with public keys and nothing else."""
    folder = stage.platform.folder
    path = folder.path / f"dossier-demonstration-{datetime.now(UTC):%Y%m%dt%H%M%Sz}.zip"
    async with stage.platform.rooms() as pools:
        await _never_real(pools, path.with_suffix(".real"))
        written = await _written(pools, path)
        key = dossier_key(await pools.house.origin(), await pools.house.kms.public_key("dossier"))
    keys = Keys(folder.witness / "log.key", folder.witness / "witness.pub", key.encode())
    whole = await asyncio.to_thread(verify, path, keys)
    check(whole.get("whole"), fr=f"le dossier est refusé ({whole})", en=f"the dossier is refused ({whole})")
    with tempfile.TemporaryDirectory(prefix="hygie-demo-") as name:
        forged = Path(name, "forged.zip")
        batch = await asyncio.to_thread(forge, path, forged)
        refused = await asyncio.to_thread(verify, forged, keys)
    check(
        (refused.get("whole"), refused.get("part"), refused.get("name")) == (False, "batch", batch),
        fr=f"l'évaluation {batch} est falsifiée et le vérificateur répond {refused}",
        en=f"evaluation {batch} is forged and the verifier answers {refused}",
    )
    return _told(written, whole, batch)


async def _never_real(pools: Pools, path: Path) -> None:
    """What was evaluated here is refused in a dossier that is no demonstration."""
    try:
        await write_dossier(pools.house, pools.records, Wanted(path), author=OPERATOR)
    except TrialEvidenceError:
        return
    check(False, fr="un essai passe pour un vrai dossier", en="a trial passes for a real dossier")


async def _written(pools: Pools, path: Path) -> Written:
    """The dossier of all that was evaluated."""
    return await write_dossier(pools.house, pools.records, Wanted(path, demonstration=True), author=OPERATOR)


def _told(written: Written, whole: dict[str, Any], batch: int) -> Proved:
    held = whole["held"]
    proved = Proved(facts={"dossier": str(written.path), "held": held, "lost": len(whole["lost"]), "forged": batch})
    proved.lines = [
        say(
            fr=f"{written.path.name} : {held['runs']} contrôles effectués (évaluations : {held['batches']}), journal"
            f" entier, {held['sampled']} traces tirées ; vérifié hors ligne en {whole['seconds']:.2f} s.",
            en=f"{written.path.name}: {held['runs']} runs of checks (evaluations: {held['batches']}), the whole"
            f" journal, {held['sampled']} traces drawn; verified offline in {whole['seconds']:.2f} s.",
        ),
        say(
            fr="Marqué démonstration à chaque page ; demandé comme vrai dossier : refusé, un essai ne prouve rien.",
            en="Marked as a demonstration on every page; asked for as a real one: refused, a trial proves nothing.",
        ),
        say(
            fr=f"Un verdict changé dans une copie, empreintes refaites : hygie-verify nomme l'évaluation {batch}.",
            en=f"One verdict changed in a copy, digests made again: hygie-verify names evaluation {batch}.",
        ),
    ]
    if whole["lost"]:
        proved.lines.append(
            say(
                fr="Les évaluations d'avant la perte de la base n'y sont plus : le journal les nomme, il le dit.",
                en="Evaluations from before the database was lost are gone: the journal names them, it says so.",
            )
        )
    proved.commands = [f"hygie-verify {written.path.name} --key witness/log.key --witness witness/witness.pub"]
    return proved


def forge(path: Path, target: Path) -> int:
    """A copy in which one verdict is another, the manifest's digests made again. Returns its evaluation. Blocks."""
    with zipfile.ZipFile(path) as file:
        files = {name: file.read(name) for name in file.namelist()}
    lines = files[BATCHES].split(b"\n")
    batch = 0
    for at, line in enumerate(lines):
        if line.startswith(b'{"at_ms"') and b'"batch":' in line:
            batch = int(json.loads(line)["batch"])
        elif found := _VERDICT.search(line):
            lines[at] = line[: found.start()] + b'"verdict":"unknown"' + line[found.end() :]
            break
    files[BATCHES] = b"\n".join(lines)
    manifest = json.loads(files["manifest.json"])
    size, digest = len(files[BATCHES]), sha256(files[BATCHES]).hexdigest()
    manifest["files"][BATCHES] = {"bytes": size, "sha256": digest}
    files["manifest.json"] = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    with zipfile.ZipFile(target, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return batch
