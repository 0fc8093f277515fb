"""What a rebuild reads of packs on one site: which stand, then what they hold. Blocking code, run in threads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hygie.base.errors import HygieError, IntegrityError
from hygie.base.seal import SealBrokenError, open_sealed
from hygie.sites.errors import ObjectAbsentError
from hygie.sites.site import Site
from hygie.vault.blobs import CHUNK_BYTES, chunk_meaning, chunk_name
from hygie.vault.context import EnvironmentContext
from hygie.vault.errors import PackFormatError
from hygie.vault.ledger import Survivors, Verdicts
from hygie.vault.model import Blob
from hygie.vault.pack import (
    FOOTER,
    HEADER,
    PackedCompartment,
    PackedObject,
    PackTable,
    check_pack,
    pack_name,
    read_front,
    read_table,
)
from hygie.vault.payload import PAYLOAD_BYTES_MAX, blob_of, decode_payload, object_meaning, split_tokens
from hygie.vault.upkeep_rows import PackRow, RebuiltRow, encode_objects


def version_key(packed: PackedObject) -> bytes:
    """20 bytes for one version of one object."""
    return packed.object_id + packed.version.to_bytes(4, "big")


class Standing(NamedTuple):
    """A pack that counts."""

    number: int
    size_bytes: int
    objects: int


@dataclass(slots=True)
class Claims:
    """The outcome of the first pass.

    newest: only of objects that have more than their version 1; owners: of each subject, the live compartment with the
    strongest claim; shadowed: by pack, versions that a stronger published pack claims too (after a partial rebuild).
    """

    standing: list[Standing] = field(default_factory=list)
    void: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    carried: list[tuple[int, PackedCompartment]] = field(default_factory=list)
    newest: dict[bytes, int] = field(default_factory=dict)
    owners: dict[bytes, bytes] = field(default_factory=dict)
    shadowed: dict[int, set[bytes]] = field(default_factory=dict)

    def is_current(self, packed: PackedObject) -> bool:
        """Whether no later version stands."""
        return self.newest.get(packed.object_id, 1) == packed.version


class PackFinder:
    """First pass: the tables, by two range reads each; bytes are checked whole when objects are read."""

    def __init__(self, site: Site, context: EnvironmentContext, published: Mapping[int, str]) -> None:
        self._site = site
        self._place = context.place
        self._pack_key = context.pack_key
        self._published = published

    def sizes(self) -> dict[int, int]:
        """Numbers and bytes of the packs that the site lists. What is not a pack's name is passed over."""
        prefix = f"packs/{self._place.environment_id.hex()}/"
        found: dict[int, int] = {}
        for name, size in self._site.list(prefix):
            digits = name.removeprefix(prefix).removesuffix(".pack")
            if digits.isdecimal() and name == pack_name(self._place.environment_id, int(digits)):
                found[int(digits)] = size
        return found

    def decide(self, sizes: Mapping[int, int], verdicts: Verdicts) -> Claims:
        """Which packs stand, from the strongest claim to the weakest."""
        claims = Claims()
        versions: set[bytes] = set()
        for number in sorted(sizes, key=lambda number: (number in self._published, number), reverse=True):
            try:
                table = self._table(number, sizes[number])
            except HygieError:
                claims.damaged.append(number)
                continue
            wanted = {version_key(one) for one in table.objects}
            owned = {one.subject: one.compartment for one in table.compartments if verdicts.lives(one) is not None}
            taken = any(claims.owners.get(subject, owner) != owner for subject, owner in owned.items())
            if number in self._published:
                shadowed = versions & wanted
                if shadowed:
                    claims.shadowed[number] = shadowed
            elif taken or not versions.isdisjoint(wanted):
                claims.void.append(number)
                continue
            versions |= wanted
            for subject, owner in owned.items():
                claims.owners.setdefault(subject, owner)
            claims.standing.append(Standing(number, sizes[number], len(table.objects)))
            claims.carried += [(number, one) for one in table.compartments]
            for one in table.objects:
                if one.version > claims.newest.get(one.object_id, 1):
                    claims.newest[one.object_id] = one.version
        claims.void.sort()
        claims.damaged.sort()
        return claims

    def _table(self, number: int, size: int) -> PackTable:
        if size < HEADER.size + FOOTER.size:
            raise PackFormatError(part="truncated")
        name = pack_name(self._place.environment_id, number)
        start, length = read_front(self._site.get(name, size - FOOTER.size, FOOTER.size), size)
        return read_table(self._site.get(name, start, length), self._place, number=number, pack_key=self._pack_key)


@dataclass(slots=True)
class Batch:
    """What some packs give to the catalogue. buffer: rows of ``object`` for COPY; chunks: by blob; sets: opaque id and
    packed members of each current set of patients."""

    packs: list[PackRow] = field(default_factory=list)
    rows: list[RebuiltRow] = field(default_factory=list)
    chunks: dict[bytes, list[tuple[int, bytes, int]]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    buffer: bytes = b""
    objects: int = 0
    unreadable: int = 0
    unattached: int = 0
    sets: list[tuple[bytes, bytes]] = field(default_factory=list)


class PackReader:
    """Second pass: whole packs, every object opened under its own meaning.

    A pack whose bytes are not those that the journal names is named; what still opens is indexed, what does not stays
    in the catalogue without tokens, for another site's copy to answer.
    """

    def __init__(
        self,
        site: Site,
        context: EnvironmentContext,
        *,
        claims: Claims,
        keys: Mapping[bytes, bytes],
        survivors: Survivors,
        published: Mapping[int, str],
    ) -> None:
        self._site = site
        self._place = context.place
        self._pack_key = context.pack_key
        self._claims = claims
        self._keys = keys
        self._erased = {one.compartment for one in survivors.erased}
        self._published = published

    def read(self, standing: Iterable[Standing]) -> Batch:
        """Read some packs, in order. Raises: SiteUnavailableError."""
        batch = Batch()
        for one in standing:
            try:
                self._pack(one.number, batch)
            except (ObjectAbsentError, IntegrityError):  # changed since the first pass, or its medium cannot read it
                batch.damaged.append(pack_name(self._place.environment_id, one.number))
        batch.buffer = encode_objects(batch.rows)
        batch.objects, batch.rows = len(batch.rows), []
        return batch

    def _pack(self, number: int, batch: Batch) -> None:
        name = pack_name(self._place.environment_id, number)
        data = self._site.get(name)
        digest = hashlib.sha256(data).digest()
        named = self._published.get(number)
        if named is None:
            start, length = check_pack(data, self._place, number=number)
        else:
            if digest.hex() != named:
                batch.damaged.append(name)
                digest = bytes.fromhex(named)  # so that a good copy mends this one, and never the other way round
            start, length = read_front(data[-FOOTER.size :], len(data))
        table = read_table(data[start : start + length], self._place, number=number, pack_key=self._pack_key)
        batch.packs.append(PackRow(number, digest, len(data), len(table.objects), table.created_at_ms))
        shadowed = self._claims.shadowed.get(number, ())
        for rank, packed in enumerate(table.objects):
            if not shadowed or version_key(packed) not in shadowed:
                self._object(number, rank, packed, data, batch)

    def _object(self, number: int, rank: int, packed: PackedObject, data: bytes, batch: Batch) -> None:
        current = self._claims.is_current(packed)
        key = self._keys.get(packed.compartment)
        if key is None:
            if packed.compartment not in self._erased:
                batch.unattached += 1
            elif current:  # as after a purge: enough to answer *erased*
                batch.rows.append(RebuiltRow(number, rank, packed, (), True))
            return
        place = self._place
        meaning = object_meaning(
            place.tenant_id, place.environment_id, packed.compartment, packed.object_id, packed.version
        )
        try:
            box = data[packed.start : packed.start + packed.length]
            head, _ = decode_payload(open_sealed(box, key=key, meaning=meaning, bytes_max=PAYLOAD_BYTES_MAX))
        except SealBrokenError:
            batch.unreadable += 1
            batch.rows.append(RebuiltRow(number, rank, packed, (), current))
            name = pack_name(place.environment_id, number)
            if name not in batch.damaged:
                batch.damaged.append(name)
            return
        tokens = split_tokens(head.terms) if current else ()
        batch.rows.append(RebuiltRow(number, rank, packed, tokens, current))
        if current and head.members:
            batch.sets.append((packed.object_id, head.members))
        blob = blob_of(head)
        if blob is not None and blob.blob_id not in batch.chunks:
            batch.chunks[blob.blob_id] = self._chunks(blob, batch)

    def _chunks(self, blob: Blob, batch: Batch) -> list[tuple[int, bytes, int]]:
        """Rows of the chunks that are here and open. One that does not open is not recorded: it would look right."""
        rows: list[tuple[int, bytes, int]] = []
        for number in range(blob.chunks):
            name = chunk_name(self._place.environment_id, blob.blob_id, number)
            try:
                box = self._site.get(name)
                meaning = chunk_meaning(self._place, blob, number)
                open_sealed(box, key=self._keys[blob.compartment], meaning=meaning, bytes_max=CHUNK_BYTES)
            except ObjectAbsentError:
                batch.missing.append(name)
            except (IntegrityError, KeyError):
                batch.damaged.append(name)
            else:
                rows.append((number, hashlib.sha256(box).digest(), len(box)))
        return rows
