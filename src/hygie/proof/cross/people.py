"""People of the register against accounts and rights of the platform."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from hygie.base.civil import paris_date
from hygie.proof.cross.model import Found, Judge, Look, cards, day_of
from hygie.proof.facts import AccessFacts
from hygie.proof.fitness import bound, trained
from hygie.proof.incidents.rota import AHEAD_DAYS, DAY_MS, DUTY, gaps, periods
from hygie.proof.interventions import ending_accounts
from hygie.registers.chain import RecordVersion
from hygie.registers.people import has_left

ENDING_MS = 300_000  # hygie work closes within half a minute of the end
SESSIONS_READ_MS = 900_000  # it reads every ten seconds; a busy machine less often
REVIEW_DAYS_MAX = 365  # HDS v2, requirement 05 D a: rights are looked at again each year
DUTY_OF_ROLE = {  # a role that registers and checks name → the duty that a person of the register holds
    "achats": "purchasing", "direction": "direction", "dpo": "dpo", "exploitation": "operator", "juridique": "legal",
    "qualite": "quality", "rh": "hr", "rssi": "rssi", "support": "support",
}  # fmt: skip
# Roles that read or destroy beyond care: held by duty, or for the time of an intervention.
PRIVILEGED: Mapping[str, Collection[str]] = {"operator": ("operator", "rssi"), "privacy-officer": ("dpo", "rssi")}
_ANSWERS = ("owner", "lead", "handler", "custodian", "crisis_lead", "deputies", "operator")
_GONE_IS_FINE = ("person", "undertaking", "training-record", "policy-acknowledgement", "habilitation-review")
Row = Mapping[str, Any]


def people_present(look: Look) -> list[RecordVersion]:
    """The persons of the register who are here today."""
    return [one for one in look.of("person") if not has_left(one, look.today)]


def access_of(look: Look) -> AccessFacts:
    """The rights of the platform; the card has asked for the fact."""
    found = look.facts.access.value
    assert found is not None
    return found


def live_rights(look: Look) -> list[Row]:
    """Habilitations that are neither ended, nor revoked, nor suspended."""
    now_ms = look.context.now_ms
    return [
        one
        for one in access_of(look).habilitations
        if one["revoked_ms"] is None and one["suspended_ms"] is None and one["ends_ms"] > now_ms
    ]


def leaver_account(look: Look) -> Found:
    """The account of somebody who left is closed the same day."""
    gone = _accounts_gone(look)
    return Found([name for name in _open_accounts(look) if name in gone], len(gone))


def leaver_rights(look: Look) -> Found:
    """Nobody who left keeps a live habilitation or token."""
    gone, now_ms = _accounts_gone(look), look.context.now_ms
    live = [
        one["account"] for one in access_of(look).tokens if one["revoked_ms"] is None and one["expires_ms"] > now_ms
    ]
    held = {str(name) for name in [*live, *(one["account"] for one in live_rights(look))]}
    return Found(sorted(held & gone), len(gone))


def account_known(look: Look) -> Found:
    """Each open account of a person is that of somebody present in the register."""
    known = _accounts(people_present(look))
    accounts = _open_accounts(look)
    return Found([name for name in accounts if name not in known], len(accounts))


def approver_known(look: Look) -> Found:
    """Each live habilitation was approved by somebody of the register who was there that day."""
    people = [(str(one.fields["account"]), one) for one in look.of("person") if one.fields.get("account")]
    rights = live_rights(look)

    def there(name: str, day: str) -> bool:
        return any(
            account == name and str(one.fields["starts_on"]) <= day <= str(one.fields.get("ends_on", day))
            for account, one in people
        )

    wrong = [_right(one) for one in rights if not there(one["approver"], paris_date(one["starts_ms"]).isoformat())]
    return Found(wrong, len(rights))


def training_live(look: Look) -> Found:
    """Who holds a live habilitation has a training that is still valid."""
    return _of_holders(look, trained(look.of, look.today))


def undertaking_live(look: Look) -> Found:
    """Who holds a live habilitation has signed an undertaking of confidentiality."""
    return _of_holders(look, bound(look.of))


def right_reviewed(look: Look) -> Found:
    """A right first granted a year ago or more was reviewed within the year, in the register or in a campaign.

    Renewals and interruptions included: a right that was revoked and given back counts from its first grant. That asks
    for a review early rather than late, and nobody escapes one by letting a right lapse for a day.
    """
    oldest = look.today - timedelta(days=REVIEW_DAYS_MAX)
    first: dict[tuple[str, ...], date] = {}
    for one in access_of(look).habilitations:
        first.setdefault(_held(one), paris_date(one["starts_ms"]))  # rows come oldest first
    reviewed = {
        str(one.fields["account"])
        for one in look.of("habilitation-review", "decided", "executed")
        if str(one.fields["reviewed_on"]) >= oldest.isoformat()
    }
    decided = {one["habilitation"] for one in access_of(look).reviews if paris_date(one["at_ms"]) >= oldest}
    rights = live_rights(look)
    wrong = [
        _right(one)
        for one in rights
        if first[_held(one)] < oldest and one["account"] not in reviewed and one["id"] not in decided
    ]
    return Found(wrong, len(rights))


def review_executed(look: Look) -> Found:
    """A right that a review withdraws or reduces is no longer what it was, from the day after."""
    decided = [
        one
        for one in look.of("habilitation-review", "decided", "executed")
        if one.fields["decision"] in ("withdraw", "reduce") and _day(one, "reviewed_on") < look.today
    ]
    rights = live_rights(look)

    def still_held(review: RecordVersion) -> bool:
        fields = review.fields
        return any(
            (right["account"], right["role"]) == (fields["account"], fields["role"])
            and fields.get("environment") in (None, right["place"], f"{right['tenant']}/{right['place']}")
            and paris_date(right["starts_ms"]) <= _day(review, "reviewed_on")
            for right in rights
        )

    return Found([one.key for one in decided if still_held(one)], len(decided))


def privileged_justified(look: Look) -> Found:
    """A privileged right goes with a duty, or was granted within an intervention that names the account."""
    duties = {
        str(one.fields["account"]): set(one.fields.get("duties", ()))
        for one in people_present(look)
        if one.fields.get("account")
    }
    rights = [one for one in live_rights(look) if one["role"] in PRIVILEGED]
    wrong = [
        _right(one)
        for one in rights
        if not duties.get(one["account"], set()) & set(PRIVILEGED[one["role"]])
        and not any(_within(intervention, one) for intervention in look.of("intervention"))
    ]
    return Found(wrong, len(rights))


def ending_account(look: Look) -> Found:
    """An account that was opened for an intervention has ended with it."""
    now_ms = look.context.now_ms
    over = ending_accounts(look.of, now_ms - ENDING_MS)
    held = {str(one["id"]) for one in access_of(look).accounts if one["state"] == "open" and one["ends_ms"] > now_ms}
    held |= {str(one["account"]) for one in live_rights(look)}
    named = {name for one in look.of("intervention") for name in one.fields.get("ending_accounts", ())}
    return Found([f"{name} ({over[name]})" for name in sorted(over.keys() & held)], len(named))


def session_matched(look: Look) -> Found:
    """Each session on a machine belongs to an approved intervention, or was explained by two people."""
    sessions = look.of("recorded-session")
    return Found([one.key for one in sessions if one.state == "unmatched"], len(sessions))


def sessions_read(look: Look) -> Found:
    """What sshd and sudo leave behind was read within the last minutes."""
    newest = (look.facts.measurements.value or {}).get("sessions")
    if newest is None:
        return Found()
    late = look.context.now_ms - newest.at_ms > SESSIONS_READ_MS
    code = str(newest.facts.get("code", ""))
    wrong = [code or "sessions"] if late or not newest.passed else []
    return Found(wrong, 1)


def duty_held(look: Look) -> Found:
    """Each role that answers for registers and checks is held by somebody present."""
    roles = {look.schema(name).owner for name in look.schemas} | {card.owner for card in cards().values()}
    held = {duty for one in people_present(look) for duty in one.fields.get("duties", ())}
    return Found(sorted(role for role in roles if DUTY_OF_ROLE.get(role, role) not in held), len(roles))


def owner_present(look: Look) -> Found:
    """Nobody who left still answers for an open record."""
    gone = {one.key for one in look.of("person") if has_left(one, look.today)}
    wrong, checked = [], 0
    for register in look.schemas:
        if register in _GONE_IS_FINE:
            continue
        for record in look.open(register):
            named = set(_named(record))
            checked += bool(named)
            if named & gone:
                wrong.append(f"{register} {record.key}")
    return Found(wrong, checked)


def policy_acknowledged(look: Look) -> Found:
    """Each person present has read each policy in force that is meant for them, in its present edition."""
    read = {
        (str(one.fields["policy"]), str(one.fields["edition"]), str(one.fields["person"]))
        for one in look.of("policy-acknowledgement", "recorded")
    }
    expected = [
        (policy.key, str(policy.fields["edition"]), person.key)
        for policy in look.of("policy", "in-force")
        for person in people_present(look)
        if _is_reader(person, policy.fields.get("readers", ()))
    ]
    return Found([f"{policy} {person}" for policy, edition, person in expected
                  if (policy, edition, person) not in read], len(expected))  # fmt: skip


def _is_reader(person: RecordVersion, readers: Sequence[str]) -> bool:
    outside = bool(person.fields.get("supplier"))
    operates = "operator" in person.fields.get("duties", ())
    return (
        ("staff" in readers and not outside)
        or ("providers" in readers and outside)
        or ("operators" in readers and operates)
    )


def _accounts(people: Iterable[RecordVersion]) -> set[str]:
    return {str(one.fields["account"]) for one in people if one.fields.get("account")}


def _accounts_gone(look: Look) -> set[str]:
    gone = [one for one in look.of("person") if has_left(one, look.today)]
    return _accounts(gone) - _accounts(people_present(look))


def _open_accounts(look: Look) -> list[str]:
    now_ms = look.context.now_ms
    rows = access_of(look).accounts
    return [
        str(one["id"]) for one in rows if (one["kind"], one["state"]) == ("person", "open") and one["ends_ms"] > now_ms
    ]


def _of_holders(look: Look, fit: Collection[str]) -> Found:
    """Persons with a live habilitation, and those of them who are not fit for it."""
    person_of = {str(one.fields["account"]): one.key for one in people_present(look) if one.fields.get("account")}
    holders = sorted({person_of[one["account"]] for one in live_rights(look) if one["account"] in person_of})
    return Found([one for one in holders if one not in fit], len(holders))


def _named(record: RecordVersion) -> Iterator[str]:
    for name in _ANSWERS:
        value = record.fields.get(name)
        yield from (map(str, value) if isinstance(value, list) else () if value is None else (str(value),))


def _held(right: Row) -> tuple[str, ...]:
    return str(right["account"]), str(right["tenant"]), str(right["place"]), str(right["role"])


def _right(right: Row) -> str:
    return f"{right['account']} ({right['tenant']}/{right['place']}, {right['role']})"


def _within(intervention: RecordVersion, right: Row) -> bool:
    fields = intervention.fields
    if right["account"] not in fields.get("accounts", ()) or intervention.state in ("requested", "refused"):
        return False
    first = fields.get("started_at") or fields.get("begins_after")
    last = fields.get("ended_at") or fields.get("ends_before")
    return bool(first and last) and day_of(first) <= paris_date(right["starts_ms"]) <= day_of(last)


def _day(record: RecordVersion, name: str) -> date:
    return day_of(record.fields[name])


def rota_covered(look: Look) -> Found:
    """On each of the next thirty days somebody who speaks French is on duty at every hour."""
    duties = look.of(DUTY)
    if not duties:
        return Found()
    now_ms = look.context.now_ms
    found = periods(duties, look.of("person"), now_ms)
    days = [now_ms + number * DAY_MS for number in range(AHEAD_DAYS)]
    wrong = [paris_date(day).isoformat() for day in days if gaps(found, day, day + DAY_MS)]
    return Found(wrong, AHEAD_DAYS)


JUDGES: Mapping[str, Judge] = {
    "cross.leaver-account": leaver_account,
    "cross.leaver-rights": leaver_rights,
    "cross.account-known": account_known,
    "cross.approver-known": approver_known,
    "cross.training-live": training_live,
    "cross.undertaking-live": undertaking_live,
    "cross.right-reviewed": right_reviewed,
    "cross.review-executed": review_executed,
    "cross.privileged-justified": privileged_justified,
    "cross.ending-account": ending_account,
    "cross.session-matched": session_matched,
    "cross.sessions-read": sessions_read,
    "cross.rota-covered": rota_covered,
    "cross.duty-held": duty_held,
    "cross.owner-present": owner_present,
    "cross.policy-acknowledged": policy_acknowledged,
}
