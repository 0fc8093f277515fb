"""From what is typed of an event to the records to write."""

from __future__ import annotations

from datetime import date

import pytest

from hygie.proof.certification.acts import recorded
from hygie.proof.certification.errors import RecordRefusedError
from tests.unit.proof.certification.samples import K

ON = date(2026, 11, 27)


def test_an_event_says_what_was_asked() -> None:
    (change,) = recorded(K.STAGE2, "2026", ON, {"report": "R"}, [])
    assert change.fields == {"cycle": "2026", "kind": "stage2", "on": "2026-11-27", "report": "R"}


@pytest.mark.parametrize(("name", "value"), [("kind", "withdrawal"), ("cycle", "2029"), ("on", "2027-01-01")])
def test_a_field_that_the_command_already_says_is_refused(name: str, value: str) -> None:
    """It would take the place of what was asked: a stage recorded as a withdrawal, in another cycle, on another day."""
    with pytest.raises(RecordRefusedError) as caught:
        recorded(K.STAGE2, "2026", ON, {"report": "R", name: value}, [])
    assert caught.value.facts["field"] == name
    assert "already said by the command" in caught.value.sentence("en")
