"""Write docs/reference/certification.md from the data of the certification room; run it after changing one."""

from __future__ import annotations

from pathlib import Path

from hygie.proof.certification.cycle import STATE_WORDS, events_from
from hygie.proof.certification.delays import Delay, Unit, own_delays
from hygie.proof.certification.events import EVENT_WORDS
from hygie.proof.certification.prepare import own_asks
from hygie.proof.certification.scoping import own_words
from hygie.proof.certification.tasks import TaskRule, own_tasks

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "certification.md"
HEAD = """\
# The certification cycle

Written by `tools/certification_reference.py` from `hygie.proof.certification`; do not edit by hand. Hygie certifies
nobody: an accredited body does. What follows is how the platform keeps the records of a certification, which dates it
computes from them, what each event sets going, and what it says of a service.

## Records

Plain dicts (JSON bodies), dates `YYYY-MM-DD`, refused whole with the field and the reason ([HYG-1B7](errors.md)):
*certificate* (HDS or ISO 27001), *event* of a cycle, *finding* with its corrective actions, *service* with who performs
each activity, *answers* of the scoping questionnaire. What one record cannot show is checked across them: an HDS
certificate is issued under a valid ISO 27001 certificate of the same holder and never outlives it and its renewals; an
event bears the dates of its certificate; a finding is dated at the end of its audit; a cycle and the one that it
continues name each other.

The registers `certificate`, `certification-event`, `finding`, `action`, `service` and `scoping` hold them
([registers](registers.md)); every write of one of them, by whichever door, is checked with all the others and refused
whole, naming the record and the field. `hygie certification record` fills in what the certificate already says, and
writes a renewal's two events at once; `hygie register add certification-event` does the rest as well. Either way the
engine launches the event's tasks in the same transaction, as records of the register `action`, each once.

The programme of a cycle is read from the registers `audit` (of the body, to come) and `internal-audit` (to come and
held). `hygie certification programme` shows it, and what it lacks: an audit of the body without a date or planned
outside its clock, longer than the delay below without an internal audit of conformity or of traces, a requirement
that applies and that no internal audit of conformity looks at.

## What follows by itself

`hygie work`, within seconds of a write of the registers and every thirty seconds; journaled, told in the records as
`system:work`:

- an end date in the register `person` that has come (Paris): the tokens and habilitations of that account are revoked,
  the account is closed, the record enters *left* with the day (`access_closed_on`);
- a training or an undertaking that lapsed: the person's habilitations are suspended, and taken up again when it is
  renewed. The MAC of a suspended habilitation says so ([ADR 0014](../adr/0014-rights-carry-a-mac.md)): the gate refuses
  it even when somebody clears the suspension by SQL. A person of whom no training or undertaking was ever recorded is
  not suspended; the [cross-checks](cross-checks.md) tell of it;
- the expiry of a certificate that time alone has made happen: recorded, with its tasks;
- each warning of a date of the cycle, of a certificate or of a finding: recorded once in `certification-warning`.

In a production installation, `hygie environment create --kind production` and `hygie token create` for such an
environment are refused (HYG-261, journaled) unless an open production service of the register names the environment (or
its client) and every such service is covered that day. A trial installation warns.

## States

The state on a day is a fold of the events dated until that day, in the order of their dates. An event that does not
fit is refused with the reason (HYG-1B8). Two changes need no event: the day after the correction clock ends without
verification, stage 2 is to be redone and the cycle is back at *stage 1 held*; the day after its last day, a
certificate has *expired*, and the tasks of an expiry are due whether or not somebody records it. A renewal decision
closes a cycle and opens the next one. Corrections of a surveillance audit verified late are accepted and shown late;
those of a renewal audit ask for another audit.

"""
CLOCKS = """
## Clocks

Data, in `delays.toml`: each has a source and the days between which it governs a clock that starts. *literal*: a text
says it; *practice*: a standard or the practice of bodies; *promise*: this platform's own. A clock is counted in civil
days of Europe/Paris and ends at midnight there.

- **Months**: the day of the same number; when the month has no such day, its last one (31 August and three months: 30
  November). French code of civil procedure art. 641, Regulation (EEC) 1182/71 art. 3.
- **Week-ends and holidays** move nothing: the clocks of a certification body are not those of a procedure. The
  calendar shows the last working day in time beside the date.
- **Without a zone database** (minimal Debian, some installations on macOS) the rule of Directive 2000/84/EC is used;
  it agrees with the database for every hour from 1997 to 2036. Nothing is installed or downloaded.
- **Second surveillance**: at the second anniversary of the decision, or at the end of the calendar year that follows
  the first one, whichever comes first.

"""
WARNINGS = """
**Warnings** come {days} days before each date (settable: up to 12 leads, 0 to 1095 days). Those whose day came before
the clock opened are gathered into one on the opening day. The day after a date that nothing met, one more says that
it is late. Each has a stable name, so that it is told once whatever the rhythm at which one asks; what was missed
comes out at the next question, unless it is done by then. The iCalendar export (RFC 5545) holds the open dates as
all-day events, with an alarm at 9 in the morning of each warning; a UID never changes.

"""
COVERAGE = """
## Coverage

A service is covered on a day when, for each of the six activities it rests on, somebody is named, and holds an HDS
certificate that lists the activity, is within its dates, neither suspended nor withdrawn, of an edition still worth
something, and hangs on a valid ISO 27001 certificate of the same holder (or a renewal of it). Otherwise it is not,
every reason is given, and it may not go to production.

## Scoping

Four cumulative tests (hosts for others; personal health data; gathered during care; performs one of the six
activities) and two exclusions (a short loan, R.1111-8-8 CSP; electronic archiving alone, L.1111-8 CSP). One "no"
settles it; else an absent answer leaves it unknown, and so are its requirements. Conditions of requirements are bound
to answers in `scoping.toml`; one that is bound to none is unknown.

`hygie perimeter scope CLIENT` keeps the answers of a client with what follows from them. For the host as a whole the
answers are read from the registers: services and who performs each activity, actors, transfers, questionnaires. A
requirement is left out of the posture only when the registers say that what it is about is absent: no service, no named
actor, no declared host or no answer means that it applies.

"""


def page() -> str:
    """The Markdown page."""
    delays = own_delays()
    leads = ", ".join(str(lead) for lead in delays.leads)
    return "".join(
        [
            HEAD,
            _states(),
            CLOCKS,
            _clocks(),
            WARNINGS.format(days=leads),
            _editions(),
            _tasks(),
            _asks(),
            COVERAGE,
            _roles(),
        ]
    )


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _states() -> str:
    rows = [
        [f"`{state}`", words.en, words.fr, ", ".join(f"`{kind}`" for kind in events_from(state)) or "–"]
        for state, words in STATE_WORDS.items()
    ]
    events = [[f"`{kind}`", words.en, words.fr] for kind, words in EVENT_WORDS.items()]
    return (
        _table(["state", "English", "français", "events that may happen"], rows)
        + "\n"
        + _table(["event", "English", "français"], events)
    )


def _clocks() -> str:
    rows = [
        [
            f"`{rule.id}`",
            rule.title.en,
            _amount(rule),
            rule.basis.value,
            rule.source.en + ("" if rule.verified else " (**unverified**)"),
            f"{rule.valid_from} – {rule.valid_until or ''}".rstrip(),
        ]
        for rule in own_delays().rules
    ]
    return _table(["clock", "what", "how long", "status", "source", "governs clocks that start"], rows)


def _amount(rule: Delay) -> str:
    if rule.unit is Unit.CALENDAR_YEARS:
        return f"31 December, {rule.amount} year later"
    return f"{abs(rule.amount)} {rule.unit}" + (" before" if rule.amount < 0 else "")


def _editions() -> str:
    rows = [
        [one.scheme, one.edition, str(one.audits_until or "–"), str(one.valid_until or "–"), one.source.en]
        for one in own_delays().editions
    ]
    return _table(["scheme", "edition", "last initial or renewal audit", "last day of worth", "source"], rows)


def _tasks() -> str:
    rules = own_tasks()
    head = (
        "\n## Tasks\n\nData, in `tasks.toml`. A task counted from a clock that the cycle does not have, or has "
        "stopped, is left out; one\nwhose day has already passed is due at once.\n\n"
    )
    rows = [
        [
            ", ".join(f"`{kind}`" for kind in rule.on) + (f" ({rule.outcome})" if rule.outcome else ""),
            rule.title.en,
            rules.owners[rule.owner].en,
            _due(rule),
            ", ".join(rule.requirements),
        ]
        for rule in rules.rules
    ]
    return head + _table(["event", "task", "owner", "due", "requirements"], rows)


def _due(rule: TaskRule) -> str:
    if rule.anchor == "event":
        return f"{rule.amount} {rule.unit} after" if rule.amount else "at once"
    return f"{abs(rule.amount)} {rule.unit} {'before' if rule.amount < 0 else 'after'} `{rule.anchor}`"


def _asks() -> str:
    head = (
        "\n## What an audit looks at\n\nData, in `prepare.toml`. Each item is *present*, *missing* or *late*, with the "
        "reason and the records. A register that\nnobody gives is missing, never empty. *assessed*: what is dated "
        "since the last audit, or earlier and still open, is done,\nor within its delay.\n\n"
    )
    rows = [
        [
            ask.title.en,
            f"`{ask.register}`",
            ask.rule.replace("_", " ") + (f", {ask.max_age_months} months" if ask.max_age_months else ""),
            ", ".join(f"`{kind}`" for kind in ask.audits),
            ", ".join(ask.requirements),
        ]
        for ask in own_asks()
    ]
    return head + _table(["item", "register", "rule", "audits", "requirements"], rows)


def _roles() -> str:
    rows = [
        [role.title.fr, role.title.en, ", ".join(f"{number}°" for number in role.activities), role.note.en]
        for role in own_words().roles
    ]
    return _table(["rôle", "role", "activities (R.1111-9 CSP)", "mismatch"], rows)


if __name__ == "__main__":
    PAGE.write_text(page())
