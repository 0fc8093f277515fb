"""The accesses of a client, and what is known of the rights under which people acted: for the audit of traces.

Accesses are those of the published journal, checked up to its signed root: none can be taken away, and the same rank
and instant give the same ones again.  Rights, raised ones and openings count as the journal and their MACs bear them
out: a row that somebody planted justifies nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from hygie.app import House
from hygie.base.errors import InvalidRequestError
from hygie.database.pool import Database
from hygie.gate.break_glass import is_ours as is_our_opening
from hygie.gate.break_glass import openings_kept
from hygie.gate.lived import Lives
from hygie.gate.requests import raises_kept
from hygie.gate.rights import is_ours, rights_kept, rights_key
from hygie.gate.told import KINDS as TELLING
from hygie.gate.two_persons import raised_spans
from hygie.journal.reader import Found, JournalReader, head_of
from hygie.proof.trace_audit import Known, Span

KINDS = frozenset({"access", "administration"})  # of data, of systems


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which accesses. from_ms: since when; until: rank after the last entry to look at, None: all that is published."""

    tenant_id: bytes
    from_ms: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Accesses:
    """ranks: of the accesses that were let through, in the journal; until: rank after the last entry looked at."""

    ranks: Sequence[int]
    until: int
    known: Known


async def read_accesses(
    house: House, records: Database, wanted: Wanted, progress: Callable[[int], None] = lambda _: None
) -> Accesses:
    """Read the whole published journal: rights may have been given long ago. 100,000 entries take some seconds.

    Args: records: opened as the sealer; progress: told how many more entries were read.
    Raises: InvalidRequestError: more entries are wanted than there are; NotFoundError: nothing is published;
    IntegrityError: the journal is not what was signed; UnavailableError.
    """
    reader = await house.journal_reader(records)
    tree, _ = await reader.tree()
    until = tree.head.size if wanted.until is None else wanted.until
    if not 0 < until <= tree.head.size:
        raise InvalidRequestError(reason=f"--until: 1-{tree.head.size}")
    lives, ranks = Lives(), list[int]()
    async for first, leaves in tree.bundles(0, tree.head.size):
        for rank, leaf in enumerate(leaves, first):
            head = head_of(leaf)
            theirs = rank < until and head.tenant_id == wanted.tenant_id and head.kind in KINDS
            theirs = theirs and head.at_ms >= wanted.from_ms
            if not theirs and head.kind not in TELLING:
                continue
            found = await reader.open(rank, leaf)
            if found.foreign:
                continue
            if head.kind in TELLING:
                lives.hear(head, found.entry)
            if theirs and found.entry is not None and found.entry.outcome != "refused":
                ranks.append(rank)
        progress(len(leaves))
    return Accesses(ranks, until, await _known(house, records, lives))


async def opened_again(reader: JournalReader, ranks: Sequence[int]) -> AsyncIterator[Found]:
    """The entries of some ranks, each checked against the signed tree. Raises: as ``read_accesses``."""
    for rank in ranks:
        async for index, leaf in reader.entries(rank, rank + 1):
            yield await reader.open(index, leaf)


async def _known(house: House, records: Database, lives: Lives) -> Known:
    key = await rights_key(house.kms)
    async with records.transaction() as connection:
        accounts = {one.id for one in await rights_kept(connection, "account") if is_ours(one, key)}
        rights = {
            one.id: [
                Span(one.values["account"], bytes(one.values["environment"]), *span) for span in lives.spans(one, key)
            ]
            for one in await rights_kept(connection, "habilitation")
        }
        raised = [
            Span(one.what.get("account", ""), b"", *span)
            for one in await raises_kept(connection, key)
            for span in raised_spans(one)
        ]
        openings = [
            (Span(one.account, one.environment, one.opened_ms, one.ends_ms), bool(one.verdict))
            for one in await openings_kept(connection, key)
            if is_our_opening(one, key)
        ]
    return Known(accounts | lives.accounts, rights, raised, openings)
