"""Keys given out against the journal: what is normal passes, what was taken outside the doors is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.actions import Action
from hygie.gate.errors import UnjournaledUnwrapError
from hygie.gate.reconcile import RECENT_MS, WINDOW_MS, reconcile, require_journaled
from hygie.journal.entry import Entry
from hygie.keys.kms import UnwrapLine

NOW_MS = 1_795_478_400_000
AT_MS = NOW_MS - 3_600_000
TENANT, ENVIRONMENT, OTHER = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))
PERMIT = b"p" * 16


def line(**changes: Any) -> UnwrapLine:
    one = UnwrapLine(
        line=7,
        at_ms=AT_MS,
        pid=1,
        uid=0,
        tenant=TENANT.hex(),
        environment=ENVIRONMENT.hex(),
        permit=PERMIT.hex(),
        reason="read",
        outcome="done",
        compartments=["c0", "c1"],
    )
    return msgspec.structs.replace(one, **changes)


ENTRY = Entry(
    action=Action.OBJECT_READ,
    outcome="done",
    kind="access",
    at_ms=AT_MS + 20,
    tenant_id=TENANT,
    environment_id=ENVIRONMENT,
    permit_id=PERMIT,
)


def test_a_key_with_its_entry_is_normal() -> None:
    found = reconcile([line()], [ENTRY], now_ms=NOW_MS)
    assert (found.lines, found.keys, found.matched, found.orphans) == (1, 2, 1, [])
    require_journaled(found)


def test_an_entry_without_a_key_is_a_key_still_in_memory() -> None:
    found = reconcile([], [ENTRY], now_ms=NOW_MS)
    assert found.orphans == []


SABOTAGES = {
    "an unknown permit": (line(permit=(b"x" * 16).hex()), [ENTRY]),
    "no entry at all": (line(), []),
    "an old permit used again": (line(at_ms=AT_MS + WINDOW_MS + 21), [ENTRY]),
    "a permit before its time": (line(at_ms=AT_MS + 20 - WINDOW_MS - 1), [ENTRY]),
    "a permit of another environment": (line(environment=OTHER.hex()), [ENTRY]),
    "an entry without permit": (line(permit=""), [replace(ENTRY, permit_id=b"")]),
}


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_key_taken_outside_the_doors_is_found(name: str) -> None:
    taken, entries = SABOTAGES[name]
    found = reconcile([line(line=6), taken] if entries and taken.permit else [taken], entries, now_ms=NOW_MS)
    assert found.orphans == [taken]
    with pytest.raises(UnjournaledUnwrapError) as raised:
        require_journaled(found)
    assert raised.value.exit_code == 50
    assert raised.value.facts["permit"] == taken.permit


def test_a_long_act_covers_what_it_opened_between_its_two_entries() -> None:
    begin = replace(ENTRY, action=Action.VAULT_REBUILD, outcome="intent", at_ms=AT_MS - 2 * WINDOW_MS)
    end = replace(begin, outcome="done", at_ms=AT_MS + 2 * WINDOW_MS)
    assert reconcile([line()], [end, begin], now_ms=NOW_MS).matched == 1
    assert reconcile([line()], [begin], now_ms=NOW_MS).orphans == [line()]


def test_an_act_on_the_whole_platform_covers_every_environment() -> None:
    everywhere = replace(ENTRY, tenant_id=bytes(16), environment_id=bytes(16))
    assert reconcile([line()], [everywhere], now_ms=NOW_MS).matched == 1


def test_a_refused_unwrap_gave_nothing() -> None:
    found = reconcile([line(outcome="HYG-331")], [], now_ms=NOW_MS)
    assert (found.refused, found.keys, found.orphans) == (1, 0, [])


def test_a_request_under_way_is_too_recent_to_tell() -> None:
    young = line(at_ms=NOW_MS - RECENT_MS + 1)
    assert reconcile([young], [], now_ms=NOW_MS).waiting == 1
    assert reconcile([line(at_ms=NOW_MS - RECENT_MS)], [], now_ms=NOW_MS).waiting == 0


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_each_line_is_counted_once(journaled: list[bool]) -> None:
    permits = [bytes((number,)) * 16 for number in range(len(journaled))]
    lines = [line(line=number, permit=permit.hex()) for number, permit in enumerate(permits)]
    entries = [replace(ENTRY, permit_id=permit) for permit, kept in zip(permits, journaled, strict=True) if kept]
    found = reconcile(lines, entries, now_ms=NOW_MS)
    assert [one.line for one in found.orphans] == [number for number, kept in enumerate(journaled) if not kept]
    assert found.matched + len(found.orphans) == found.lines
