"""Drills: a restore and the loss of a site, done for real in sandboxes; their measures enter the register of drills."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hygie.base.civil import paris_date
from hygie.base.language import current_language, say
from hygie.demo.books import APPROVER
from hygie.demo.stage import Stage, check
from hygie.demo.story import Proved
from hygie.proving import ProofPlane
from hygie.registers.rules import Change

DRILL_S_MAX = 120.0
RECORDS = {"restore": ("DRL-0001", "DRL-0003"), "site-loss": ("DRL-0002",)}  # the plans that each one tries
Report = Mapping[str, Any]


async def drills(stage: Stage) -> Proved:
    """Both pass, within what contracts and plans promise; the records quote the platform's own reports."""
    answers = await asyncio.gather(*(_drill(stage.platform.folder.path, kind) for kind in RECORDS))
    reports: dict[str, Report] = {kind: answer["report"] for kind, answer in zip(RECORDS, answers, strict=True)}
    texts = [await asyncio.to_thread(Path(one["file"]).with_suffix(".txt").read_bytes) for one in answers]

    def act(plane: ProofPlane) -> None:
        books = plane.registers
        kept = [books.put_document(f"{one['report']['drill_id']}.txt", "text/plain", text)
                for one, text in zip(answers, texts, strict=True)]  # fmt: skip
        books.write(
            [
                Change("drill", _measured(reports[kind], document), key, approver=APPROVER)
                for kind, document in zip(RECORDS, kept, strict=True)
                for key in RECORDS[kind]
            ]
        )

    await stage.platform.proof(act)
    return _proved(reports)


async def _drill(data: Path, kind: str) -> dict[str, Any]:
    """What ``hygie drill`` answers, run as anybody would. Raises: DemoStepError: it failed."""
    words = ("--data", str(data), "--json", "--lang", current_language(), "drill", kind)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hygie", *words),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        told, _ = await asyncio.wait_for(process.communicate(), DRILL_S_MAX)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    check(
        process.returncode == 0,
        fr=f"l'exercice {kind} se termine avec {process.returncode}",
        en=f"drill {kind} ends with {process.returncode}",
    )
    answer: dict[str, Any] = json.loads(told)
    return answer


def _measured(report: Report, document: str) -> dict[str, object]:
    """The fields of a drill's record that the platform's report gives. document: digest of the report, kept."""
    started_s = report["started_at_ms"] // 1000
    ended_s = max(report["ended_at_ms"] // 1000, started_s + 1)
    resources = int(report["figures"].get("resources", 0))
    return {
        "planned_on": paris_date(report["started_at_ms"]).isoformat(),
        "started_at": _instant(started_s),
        "ended_at": _instant(ended_s),
        "measured_rto_min": math.ceil(report["rto_s"] / 60),
        "measured_rpo_min": math.ceil(report["rpo_s"] / 60),
        "objects_expected": resources,
        "objects_restored": resources,
        "digests_equal": True,
        "report": document,
        "platform_report": report["drill_id"],
    }


def _instant(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _proved(reports: Mapping[str, Report]) -> Proved:
    restore, loss = reports["restore"], reports["site-loss"]
    facts = {kind: {name: one[name] for name in ("drill_id", "rto_s", "rpo_s")} for kind, one in reports.items()}
    proved = Proved(facts={"drills": facts})
    hours = restore["promised_rto_s"] // 3600
    proved.lines = [
        say(
            fr=f"Restauration de la dernière sauvegarde, lectures comprises : {restore['rto_s']:.1f} s"
            f" (DMIA promise : {hours} h), {restore['rpo_s']:.0f} s d'écritures perdues au plus.",
            en=f"Restore of the last backup, reads included: {restore['rto_s']:.1f} s (promised RTO: {hours} h),"
            f" {restore['rpo_s']:.0f} s of writes lost at most.",
        ),
        say(
            fr=f"Perte d'un site : première lecture en {loss['rto_s'] * 1000:.1f} ms, aucune écriture perdue.",
            en=f"Loss of a site: first read after {loss['rto_s'] * 1000:.1f} ms, no write lost.",
        ),
        say(
            fr="Rapports signés, cités par les fiches DRL-0001 à DRL-0003 : une fiche sans mesure serait rouge.",
            en="Signed reports, quoted by records DRL-0001 to DRL-0003: a record without a measure would be red.",
        ),
    ]
    proved.commands = ["hygie drill restore", "hygie register history drill DRL-0001"]
    return proved
