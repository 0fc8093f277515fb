"""Rebuild one environment's catalogue from what a single site holds, plus the keys.

Three passes: the tables of all packs (who is where, which packs are void), the compartments, then every object that
opens is indexed again by its own blind tokens.  Packs named by the published journal win; of two others that claim
one version the higher number wins, and the loser is void whole.  What the site lacks is named, never guessed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hygie.base.errors import HygieError, IntegrityError
from hygie.base.seal import SealBrokenError, open_sealed
from hygie.database.pool import Database
from hygie.keys.kms import BATCH_MAX
from hygie.sites.errors import ObjectAbsentError
from hygie.sites.site import Site
from hygie.vault import catalogue, upkeep_rows
from hygie.vault.blobs import chunk_name
from hygie.vault.catalogue import ObjectRow
from hygie.vault.compartments import CompartmentRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.errors import PackFormatError
from hygie.vault.ledger import LedgerKeys, Survivors, read_survivors
from hygie.vault.pack import FOOTER, PackTable, pack_name, read_front, read_table
from hygie.vault.payload import PAYLOAD_BYTES_MAX, decode_payload, object_meaning, split_tokens

NUMBER_MARGIN = 1_000  # packs that other sites may hold above what this one shows
UNWRAP_REASON = "rebuild"

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class RebuildReport:
    """What was rebuilt from one site, and what that site lacks."""

    site: str
    packs: int = 0
    objects: int = 0
    compartments: int = 0
    erased: int = 0
    void: list[int] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Rebuilder:
    """Fills an empty catalogue. The environment's schema exists; nothing serves it meanwhile."""

    def __init__(
        self,
        context: EnvironmentContext,
        *,
        database: Database,
        site: Site,
        ledger_keys: LedgerKeys,
        permit_id: bytes,
    ) -> None:
        self._context = context
        self._place = context.place
        self._database = database
        self._site = site
        self._ledger_keys = ledger_keys
        self._permit_id = permit_id
        self._seen: set[tuple[bytes, int]] = set()
        self._newest: dict[bytes, int] = {}
        self._keys: dict[bytes, bytes] = {}

    async def run(self, *, published: Mapping[int, str], progress: Progress | None = None) -> RebuildReport:
        """Rebuild everything this site allows.

        Args: published: pack number -> SHA-256 (hex) as the published journal names them.
        Raises: SiteUnavailableError; KmsUnavailableError; DatabaseUnavailableError.
        """
        report = RebuildReport(self._site.name)
        numbers = await asyncio.to_thread(self._numbers)
        report.missing = [
            pack_name(self._place.environment_id, number) for number in sorted(set(published) - set(numbers))
        ]
        tables = await self._tables(numbers, published, report)
        survivors = await asyncio.to_thread(
            read_survivors, self._site, self._context, list(tables.values()), self._ledger_keys
        )
        await self._compartments(survivors, report)
        for done, number in enumerate(sorted(tables)):
            await self._pack(tables[number], report, published.get(number))
            if progress is not None:
                progress(done + 1, len(tables))
        async with self._database.transaction(self._place.role) as connection:
            highest = max([*numbers, *published, 0])
            await upkeep_rows.restart_pack_numbers(connection, highest + NUMBER_MARGIN)
        return report

    def _numbers(self) -> list[int]:
        prefix = f"packs/{self._place.environment_id.hex()}/"
        return sorted(
            int(name.removeprefix(prefix).removesuffix(".pack"))
            for name, _ in self._site.list(prefix)
            if name.endswith(".pack")
        )

    async def _tables(
        self, numbers: list[int], published: Mapping[int, str], report: RebuildReport
    ) -> dict[int, PackTable]:
        """Tables of the packs that stand, decided from the strongest claim to the weakest."""
        tables: dict[int, PackTable] = {}
        for number in sorted(numbers, key=lambda number: (number in published, number), reverse=True):
            try:
                table = await asyncio.to_thread(self._table, number)
            except HygieError:
                report.damaged.append(pack_name(self._place.environment_id, number))
                continue
            claims = {(one.object_id, one.version) for one in table.objects}
            if claims & self._seen:
                report.void.append(number)
                continue
            self._seen |= claims
            tables[number] = table
            for object_id, version in claims:
                if version > self._newest.get(object_id, 0):
                    self._newest[object_id] = version
        return tables

    def _table(self, number: int) -> PackTable:
        """One pack's table by two range reads; its bytes are checked whole when its objects are read."""
        name = pack_name(self._place.environment_id, number)
        sizes = dict(self._site.list(name))
        size = sizes.get(name, 0)
        if size < FOOTER.size:
            raise PackFormatError(part="truncated")
        footer = self._site.get(name, size - FOOTER.size, FOOTER.size)
        start, length = read_front(footer, size)
        return read_table(
            self._site.get(name, start, length), self._place, number=number, pack_key=self._context.pack_key
        )

    async def _compartments(self, survivors: Survivors, report: RebuildReport) -> None:
        """Rows of all compartments, erased ones without wrap; keys of the live ones."""
        async with self._database.transaction(self._place.role) as connection:
            await upkeep_rows.insert_survivors(connection, survivors)
        report.compartments, report.erased = len(survivors.live), len(survivors.erased)
        live = [CompartmentRow(one.compartment, one.subject, one.epoch, one.wrap) for one in survivors.live]
        for begin in range(0, len(live), BATCH_MAX):
            self._keys.update(
                await self._context.compartments.keys(
                    live[begin : begin + BATCH_MAX], permit_id=self._permit_id, reason=UNWRAP_REASON
                )
            )

    async def _pack(self, table: PackTable, report: RebuildReport, published_sha256: str | None) -> None:
        name = pack_name(self._place.environment_id, table.number)
        data = await asyncio.to_thread(self._site.get, name)
        digest = hashlib.sha256(data).digest()
        if published_sha256 is not None and digest.hex() != published_sha256:
            report.damaged.append(name)
            return
        rows: list[ObjectRow] = []
        for rank, packed in enumerate(table.objects):
            tokens, blob = self._open(table, rank, data, name, report)
            current = self._newest[packed.object_id] == packed.version
            rows.append(ObjectRow(packed, tokens if current else (), current))
            if blob is not None:
                await self._chunks(blob, report)
            if rank % 64 == 63:
                await asyncio.sleep(0)
        async with self._database.transaction(self._place.role) as connection:
            await catalogue.insert_pack(
                connection, table.number, digest, len(data), objects=len(rows), at_ms=table.created_at_ms
            )
            await catalogue.copy_objects(connection, table.number, rows)
        report.packs += 1
        report.objects += len(rows)

    def _open(
        self, table: PackTable, rank: int, data: bytes, name: str, report: RebuildReport
    ) -> tuple[list[bytes], tuple[bytes, int] | None]:
        """Tokens of one object and its chunked content, if it opens; an erased one has none."""
        packed = table.objects[rank]
        key = self._keys.get(packed.compartment)
        if key is None:
            return [], None
        meaning = object_meaning(
            self._place.tenant_id, self._place.environment_id, packed.compartment, packed.object_id, packed.version
        )
        box = data[packed.start : packed.start + packed.length]
        try:
            head, _ = decode_payload(open_sealed(box, key=key, meaning=meaning, bytes_max=PAYLOAD_BYTES_MAX))
        except SealBrokenError:
            if name not in report.damaged:
                report.damaged.append(name)
            return [], None
        return split_tokens(head.terms), (head.blob[0], head.blob[3]) if head.blob else None

    async def _chunks(self, blob: tuple[bytes, int], report: RebuildReport) -> None:
        blob_id, count = blob
        rows: list[tuple[int, bytes, int]] = []
        for number in range(count):
            name = chunk_name(self._place.environment_id, blob_id, number)
            try:
                box = await asyncio.to_thread(self._site.get, name)
            except (ObjectAbsentError, IntegrityError):
                report.missing.append(name)
                continue
            rows.append((number, hashlib.sha256(box).digest(), len(box)))
        async with self._database.transaction(self._place.role) as connection:
            await catalogue.insert_chunks(connection, blob_id, rows)
