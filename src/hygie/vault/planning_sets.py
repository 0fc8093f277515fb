"""What a limited permit may write: objects of patients that are open to it, in the place of objects that are.

Decided under the locks of its sets, which whoever changes one must wait for.  Writing into another patient's record and
asking for an id that is not open are refused alike whether anything is there or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hygie.base.errors import RefusedError
from hygie.base.permit import CONTENT_TYPES, SET_TYPE
from hygie.vault import catalogue, set_rows
from hygie.vault.catalogue import Connection, CurrentRow
from hygie.vault.errors import VersionConflictError
from hygie.vault.model import NewObject
from hygie.vault.patient_sets import Opened, is_open, member_rows, pack_members
from hygie.vault.tokens import BlindIndex

if TYPE_CHECKING:
    from hygie.vault.planning import PlannedVersion


async def open_objects(
    connection: Connection, index: BlindIndex, opened: Opened, objects: Sequence[NewObject]
) -> Mapping[bytes, int]:
    """Of the objects that are to be changed, the current version of those that are open.

    Raises: RefusedError: one would belong to a patient that is not, or is a set, or a content of nobody.
    """
    if any(one.type == SET_TYPE or _is_of_nobody(one) for one in objects):
        raise RefusedError()
    await check_patients(connection, index, opened, {patient for one in objects for patient in one.patients})
    ids = [index.object_id(one.type, one.id) for one in objects if not one.new]
    found = await catalogue.located_current(connection, ids, opened) if ids else {}
    return {row.object_id: row.version for row in found.values() if is_open(index, opened, row.marks)}


def _is_of_nobody(one: NewObject) -> bool:
    return one.type in CONTENT_TYPES and not one.patients and not one.delete


async def check_patients(
    connection: Connection, index: BlindIndex, opened: Opened, patients: Sequence[str] | set[str]
) -> None:
    """Raises: RefusedError: one of these patients, by logical id, is not open."""
    subjects = [index.subject("patient", (patient,)) for patient in sorted(patients)]
    marks = await set_rows.held(connection, subjects, opened)
    if not all(mark is not None and is_open(index, opened, mark) for mark in marks):
        raise RefusedError()


def still_seen(seen: Mapping[bytes, int], current: Mapping[bytes, CurrentRow]) -> dict[bytes, CurrentRow]:
    """Current rows of what is open; what is not is as absent.

    Raises: VersionConflictError: another request of the same group changed one since it was looked at.
    """
    if any(key in current and current[key].version != version for key, version in seen.items()):
        raise VersionConflictError()
    return {key: current[key] for key in seen if key in current}


async def keep_sets(connection: Connection, index: BlindIndex, versions: Sequence[PlannedVersion]) -> None:
    """Make the rows of each set of patients those of its newest version; its objects are in the same transaction."""
    newest = {version.object_id: version.source for version in versions if version.source.type == SET_TYPE}
    for group, source in newest.items():
        rows = member_rows(index, group, pack_members(index, source.members))
        await set_rows.replace_members(connection, group, rows)
