"""What others read: the public page, the guarantees table, and its own traces for the client, each on record."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hygie.base.actions import Action
from hygie.base.civil import paris_date
from hygie.base.language import say
from hygie.base.permit import Place
from hygie.demo.people import TENANT
from hygie.demo.platform import OPERATOR, Pools
from hygie.demo.stage import Stage, check
from hygie.demo.step_journal import Keys, verify
from hygie.demo.story import Proved
from hygie.gate.local import LocalOperator
from hygie.journal.export import Exported
from hygie.journal.writer import JournalWriter
from hygie.papers import Published, publish_page
from hygie.proving import ProofPlane
from hygie.registers.rules import Change

URL = "https://hebergeur.example/transferts"


async def publications(stage: Stage) -> Proved:
    """Both pages are made from the registers; the client is handed its traces, which verify without the host."""
    folder = stage.platform.folder
    with tempfile.TemporaryDirectory(prefix="hygie-demo-") as name:
        path = Path(name, "traces.zip")
        async with stage.platform.rooms() as pools:
            pages = [
                await publish_page(pools.house, OPERATOR, "transfers", url=URL),
                await publish_page(pools.house, OPERATOR, "guarantees"),
            ]
            exported = await _traces(pools, stage.here.environment.place, path)
        whole = await asyncio.to_thread(verify, path, Keys(folder.witness / "log.key", folder.witness / "witness.pub"))
        digest = hashlib.sha256(await asyncio.to_thread(path.read_bytes)).hexdigest()
    check(
        whole.get("whole") and exported.disclosed > 0,
        fr=f"les traces remises sont refusées ({whole})",
        en=f"the traces that are handed over are refused ({whole})",
    )
    await stage.platform.proof(lambda plane: _tell(plane, pages[0].record.key, digest))
    return _proved(pages, exported)


async def _traces(pools: Pools, place: Place, path: Path) -> Exported:
    """The client's part of the journal with what opens each entry, its export being on record as any other act."""
    house = pools.house
    journal = JournalWriter(pools.hosting, house.month_keys, house.clock)
    try:
        operator = LocalOperator(journal, house.clock, OPERATOR)
        client = Place(place.tenant_id, bytes(16), "")
        async with operator.act(Action.JOURNAL_EXPORT, client, detail={"disclosed": "yes"}) as act:
            reader = await house.journal_reader(pools.records)
            exported = await reader.export(path, tenant_id=place.tenant_id, disclose=True)
            act.count = exported.entries
    finally:
        await journal.close()
    return exported


def _tell(plane: ProofPlane, page: str, digest: str) -> None:
    """What is told of both: the page's address to the certification body, the traces to the client."""
    books = plane.registers
    receipt = books.put_document("traces.txt", "text/plain", f"SHA-256 {digest}\n".encode())
    now = datetime.fromtimestamp(books.clock.now_ms() // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields: dict[str, object] = {"kind": "traces", "recipient_kind": "client", "recipient": "CHU d'Exemple"}
    fields |= {"asked_at": now, "delivered_at": now, "means": "mail", "document": receipt}
    books.write(
        [
            Change("publication", {"certifier_told_on": paris_date(books.clock.now_ms()).isoformat()}, page),
            Change("document-delivery", fields, state="delivered", tenant=TENANT),
        ]
    )


def _proved(pages: Sequence[Published], exported: Exported) -> Proved:
    keys = [one.record.key for one in pages]
    proved = Proved(facts={"publications": keys, "traces": exported.entries, "disclosed": exported.disclosed})
    proved.lines = [
        say(
            fr="Page publique des transferts hors EEE et tableau des garanties, faits des registres"
            f" ({', '.join(keys)}) ; périmés ou retouchés, ils tournent au rouge.",
            en=f"The public page of transfers outside the EEA and the guarantees table, made from the registers"
            f" ({', '.join(keys)}); stale or edited, they turn red.",
        ),
        say(
            fr=f"Au client, ses traces d'accès : {exported.entries} entrées, dont {exported.disclosed} qu'il ouvre et"
            " vérifie sans nous.",
            en=f"To the client, its access traces: {exported.entries} entries, {exported.disclosed} of which it opens"
            " and verifies without us.",
        ),
    ]
    proved.commands = [
        f"hygie publish transfers --url {URL}",
        f"hygie journal export TRACES.zip --tenant {TENANT} --disclose",
    ]
    return proved
