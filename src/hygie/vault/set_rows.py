"""The catalogue's SQL of sets of patients: which compartments a limited permit opens, and the rows of members.

Same rules as ``catalogue``.  A statement for a permit that is not limited is the one it was before sets were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hygie.base.permit import CONTENT_TYPES, SET_TYPE
from hygie.vault.patient_sets import MARK_BYTES, MemberRow, Opened
from hygie.vault.tokens import ID_TOKEN_BYTES, type_code

if TYPE_CHECKING:
    from hygie.vault.candidates import Window
    from hygie.vault.catalogue import Connection, Reading

HELD_PATIENTS_MAX = 1_000  # of a set that is searched patient by patient
_GROUP: Final = type_code(SET_TYPE)
_CONTENTS: Final = ", ".join(str(type_code(one)) for one in sorted(CONTENT_TYPES))
_NAMED = (
    f"decode(repeat('00', {ID_TOKEN_BYTES}), 'hex') || {{subject}}"
    f" || decode(repeat('00', {MARK_BYTES - 2 * ID_TOKEN_BYTES}), 'hex')"
)
_PRESENT = "g.group_id = ANY(%s::bytea[]) AND g.from_ms <= %s AND g.until_ms > %s"
_HELD = (
    "CASE WHEN {subject} = ANY(%s::bytea[]) THEN "
    + _NAMED
    + " ELSE (SELECT g.group_id || g.subject || int8send(g.from_ms) || int8send(g.until_ms) || g.mac"
    + " FROM group_member g WHERE g.subject = {subject} AND "
    + _PRESENT
    + " LIMIT 1) END"
)


class Opening(NamedTuple):
    """How a statement asks for marks. column: in its list; join: after the one with ``compartment c``; test: in its
    conditions, to leave out what is closed; values: of ``join``, at its place."""

    column: str
    join: str
    test: str
    values: list[Any]


ALL: Final = Opening("", "", "true", [])


def opening(opened: Opened | None, alias: str) -> Opening:
    """The marks (``patient_sets.is_open``) of each object's compartment; null: closed.

    A Group is closed whoever its members are, and so is a content that is nobody's.

    Args: alias: of the object, whose compartment is ``c``.
    """
    if opened is None:
        return ALL
    one = [opened.subjects, opened.groups, opened.at_ms, opened.at_ms]
    join = (
        f" CROSS JOIN LATERAL (SELECT CASE WHEN {alias}.type = {_GROUP} THEN NULL WHEN c.kind = 0 THEN"
        f" CASE WHEN {alias}.type NOT IN ({_CONTENTS}) THEN ''::bytea END"
        f" WHEN c.kind = 1 THEN {_HELD.format(subject='c.subject')}"
        " ELSE (SELECT CASE WHEN count(*) = count(p.held) THEN string_agg(p.held, ''::bytea) END"
        f" FROM (SELECT {_HELD.format(subject='m.subject')} AS held FROM compartment_member m"
        " WHERE m.compartment = c.id) p) END AS found OFFSET 0) marks"
    )
    return Opening(", marks.found", join, "marks.found IS NOT NULL", one + one)


async def held(connection: Connection, subjects: Sequence[bytes], opened: Opened) -> list[bytes | None]:
    """The mark of each of these patients, None where it is closed, in order."""
    if not subjects:
        return []
    cursor = await connection.execute(
        f"SELECT {_HELD.format(subject='p.subject')} FROM unnest(%s::bytea[]) WITH ORDINALITY AS p (subject, rank)"
        " ORDER BY p.rank",
        (opened.subjects, opened.groups, opened.at_ms, opened.at_ms, list(subjects)),
    )
    return [row[0] for row in await cursor.fetchall()]


# The live compartments that may be open: of each patient, of several that count one of them, and of nobody.
_HOMES = (
    "WITH mine AS MATERIALIZED ((SELECT g.subject FROM group_member g WHERE "
    + _PRESENT
    + " LIMIT %s) UNION SELECT unnest(%s::bytea[])), homes AS MATERIALIZED ("
    "SELECT c.id FROM mine JOIN compartment c ON c.subject = mine.subject AND c.state = 0"
    " UNION SELECT m.compartment FROM mine JOIN compartment_member m ON m.subject = mine.subject"
    " UNION SELECT id FROM compartment WHERE subject = %s AND state = 0) "
)


def _homes(opened: Opened, environment: bytes) -> list[Any]:
    return [opened.groups, opened.at_ms, opened.at_ms, HELD_PATIENTS_MAX + 1, opened.subjects, environment]


async def is_small(connection: Reading, opened: Opened, environment: bytes, *, window: Window, rows_max: int) -> bool:
    """Whether a limited permit has so few patients and objects that they are better looked at one by one.

    Args: environment: subject of the compartment that is nobody's; rows_max: versions that it may have in the window.
    """
    cursor = await connection.execute(
        _HOMES + "SELECT (SELECT count(*) FROM mine), count(*) FROM (SELECT FROM homes CROSS JOIN LATERAL"
        " (SELECT FROM object o WHERE o.compartment = homes.id AND o.seq > %s AND o.seq < %s OFFSET 0) h"
        " WHERE (SELECT count(*) FROM mine) <= %s LIMIT %s) w",
        (*_homes(opened, environment), window.after, window.before, HELD_PATIENTS_MAX, rows_max + 1),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0]) <= HELD_PATIENTS_MAX and int(row[1]) <= rows_max


def of_homes(opened: Opened, environment: bytes) -> tuple[str, list[Any]]:
    """The start of a statement that has the compartments of a small set as ``homes``, and its values."""
    return _HOMES, _homes(opened, environment)


async def replace_members(connection: Connection, group: bytes, rows: Sequence[MemberRow]) -> None:
    """Make the members of a Group those of its current version; only what changes is written.

    The caller holds the Group's lock.
    """
    cursor = await connection.execute(
        "SELECT subject, from_ms, until_ms, mac FROM group_member WHERE group_id = %s", (group,)
    )
    before = {MemberRow(*row) for row in await cursor.fetchall()}
    after = set(rows)
    gone, added = list(before - after), list(after - before)
    if gone:
        await connection.execute(
            "DELETE FROM group_member g USING unnest(%s::bytea[], %s::bigint[], %s::bigint[]) AS w (subject, f, u)"
            " WHERE g.group_id = %s AND g.subject = w.subject AND g.from_ms = w.f AND g.until_ms = w.u",
            ([row.subject for row in gone], [row.from_ms for row in gone], [row.until_ms for row in gone], group),
        )
    if added:
        await connection.execute(
            "INSERT INTO group_member (group_id, subject, from_ms, until_ms, mac)"
            " SELECT %s, * FROM unnest(%s::bytea[], %s::bigint[], %s::bigint[], %s::bytea[])",
            (
                group,
                [row.subject for row in added],
                [row.from_ms for row in added],
                [row.until_ms for row in added],
                [row.mac for row in added],
            ),
        )


async def forget_patient(connection: Connection, compartment: bytes) -> None:
    """Take the patient of a compartment out of every set."""
    await connection.execute(
        "DELETE FROM group_member WHERE subject = (SELECT subject FROM compartment WHERE id = %s)", (compartment,)
    )


async def forget_erased(connection: Connection) -> None:
    """After a rebuild: packs still name the patients that were erased since their Group was written."""
    await connection.execute(
        "DELETE FROM group_member g WHERE g.subject IN (SELECT subject FROM compartment WHERE state = 1)"
        " AND NOT EXISTS (SELECT FROM compartment c WHERE c.subject = g.subject AND c.state = 0)"
    )
