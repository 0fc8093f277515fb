"""Who may keep an access, from the register of people: who has left, whose training or undertaking has lapsed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from hygie.proof.certification.from_registers import Newest
from hygie.registers.chain import RecordVersion
from hygie.registers.people import has_left


@dataclass(frozen=True, slots=True)
class Fitness:
    """By account: gone: of persons who have left, by key of their record; lapsed: who had a training or an undertaking
    and has none that holds today; fit: the others of the register."""

    gone: dict[str, str]
    lapsed: frozenset[str]
    fit: frozenset[str]


def trained(of: Newest, today: date) -> set[str]:
    """Keys of the persons who have a training that is still valid."""
    return {
        str(one.fields["person"])
        for one in of("training-record")
        if one.state == "valid" and str(one.fields.get("valid_until", "")) >= today.isoformat()
    }


def bound(of: Newest) -> set[str]:
    """Keys of the persons who have signed an undertaking that holds."""
    return {str(one.fields["person"]) for one in of("undertaking") if one.state == "signed"}


def fitness_of(of: Newest, today: date) -> Fitness:
    """What the registers say of each account that they name.

    A person without any training or undertaking on record is not lapsed: nobody has said yet that one is due; the
    cross-checks tell of it, they do not act.
    """
    people = [one for one in of("person") if one.fields.get("account")]
    present = {str(one.fields["account"]): one.key for one in people if not has_left(one, today)}
    gone = {str(one.fields["account"]): one.key for one in people if has_left(one, today)}
    lapsed = (_had(of("training-record")) - trained(of, today)) | (_had(of("undertaking")) - bound(of))
    named = frozenset(account for account, key in present.items() if key in lapsed)
    return Fitness(
        {account: key for account, key in gone.items() if account not in present},
        named,
        frozenset(present) - named,
    )


def _had(records: Iterable[RecordVersion]) -> set[str]:
    """Persons with a record that was once in force."""
    return {str(one.fields["person"]) for one in records if one.state not in ("to-sign", "cancelled", "failed", "void")}
