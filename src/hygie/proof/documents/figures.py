"""How many records each register holds, and what is late in it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words
from hygie.registers.clocks import Expected, Progress, expectations


@dataclass(frozen=True, slots=True)
class RegisterFigures:
    """One register: its records, those that are open, by state (told in words), and what is late, oldest first."""

    id: str
    title: str
    owner: str
    records: int
    open: int
    by_state: Mapping[str, int]
    late: Sequence[Expected]
    missed: int


def register_figures(inputs: Inputs) -> list[RegisterFigures]:
    """Every register, in their order; those that hold nothing too: an empty one is worth knowing."""
    words, found = Words(inputs.language), []
    for schema in inputs.schemas.values():
        records = inputs.records.get(schema.id, ())
        states = Counter(record.state for record in records)
        expected = [one for record in records for one in expectations(schema, record, inputs.at_ms)]
        late = [one for one in expected if one.progress is Progress.LATE]
        found.append(
            RegisterFigures(
                id=schema.id,
                title=words.label(schema),
                owner=words.owner(schema.owner),
                records=len(records),
                open=sum(count for state, count in states.items() if not schema.state(state).closed),
                by_state={words.say(one.fr, one.en): states[one.id] for one in schema.states if states[one.id]},
                late=sorted(late, key=lambda one: (one.due, one.key, one.clock)),
                missed=sum(one.progress is Progress.MISSED for one in expected),
            )
        )
    return found
