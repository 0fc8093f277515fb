"""Changes, drills, backups, incidents, rights, keys: what people recorded against what the platform measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

from hygie.backups.retention import RetentionPolicy
from hygie.base.actions import Action
from hygie.base.civil import paris_date
from hygie.proof.certification.civil import add_months
from hygie.proof.cross.model import Found, Judge, Look, day_of
from hygie.proof.facts import ActFacts
from hygie.registers.chain import RecordVersion
from hygie.registers.clocks import Progress, expectations
from hygie.registers.people import has_left

DONE = ("done", "closed")
RECORD_DAYS = 7  # between a drill or an act and its record
TLS_DAYS = 30  # a certificate is ordered and installed within a month
OWNER_DAYS = 7
DAY_MS = 86_400_000
WEIGHTY = (Action.ENVIRONMENT_DESTROY, Action.BACKUP_RESTORE, Action.KEY_ROTATE, Action.VAULT_REBUILD)
PLATFORM_DRILLS = ("restore", "site-loss", "key-loss", "journal-tamper")
_REFERENCE = re.compile(r"[0-9A-Za-z_-]+")
_MONTHS = {"monthly": 1, "quarterly": 3, "half-yearly": 6, "yearly": 12}
_DAYS = {"daily": 1, "weekly": 7}


def version_recorded(look: Look) -> Found:
    """The version that runs is that of a change which was done."""
    named = {one.fields.get("platform_version") for one in look.of("change", *DONE)}
    return Found([] if look.version in named else [look.version], 1)


def version_newest(look: Look) -> Found:
    """The newest change of version that was done is the version that runs."""
    done = [one for one in look.of("change", *DONE) if one.fields.get("platform_version")]
    if not done:
        return Found()
    newest = max(done, key=lambda one: str(one.fields["done_at"]))
    wrong = newest.fields["platform_version"] != look.version and newest.fields.get("result") == "success"
    return Found([newest.key] if wrong else [], 1)


def upgrade_recorded(look: Look) -> Found:
    """Each upgrade that the journal holds has its change, done that day or the next."""
    acts = look.facts.acts.value
    assert acts is not None
    done = {day_of(one.fields["done_at"]) for one in look.of("change", *DONE)}
    upgrades = [one for one in acts.acts if one.action == Action.PLATFORM_UPGRADE and one.outcome == "done"]

    def recorded(act: ActFacts) -> bool:
        day = paris_date(act.at_ms)
        return bool({day + timedelta(days=lag) for lag in (-1, 0, 1)} & done)

    wrong = [_dated(one) for one in upgrades if not recorded(one)]
    return Found(wrong, len(upgrades), [] if acts.whole else ["journal"])


def drill_recorded(look: Look) -> Found:
    """Each drill that the platform measured has its record within a week."""
    reports = {one.fields.get("platform_report") for one in look.of("drill")}
    oldest_ms = look.context.now_ms - RECORD_DAYS * DAY_MS
    drills = [one for one in look.facts.drills.value or () if one.at_ms <= oldest_ms]
    return Found([one.id for one in drills if one.id not in reports], len(drills))


def drill_measured(look: Look) -> Found:
    """Each drill reported of the platform quotes one that it measured."""
    known = {one.id for one in look.facts.drills.value or ()}
    reported = [one for one in look.of("drill", "reported") if one.fields["kind"] in PLATFORM_DRILLS]
    return Found([one.key for one in reported if one.fields.get("platform_report") not in known], len(reported))


def drill_gaps(look: Look) -> Found:
    """A drill that failed, or missed its promise, has actions, and none of them is late."""
    promise_s = look.context.settings.backups.rto_minutes * 60
    missed = [one for one in look.facts.drills.value or () if not one.passed or (one.rto_s or 0) > promise_s]
    of_report = {one.fields.get("platform_report"): one for one in look.of("drill")}
    actions, today = look.keyed("action"), look.today.isoformat()

    def answered(report: str) -> bool:
        named = of_report.get(report)
        keys = [str(key) for key in named.fields.get("actions", ())] if named else []
        held = [actions[key] for key in keys if key in actions]
        return bool(held) and all(
            one.state not in ("open", "in-progress") or str(one.fields["due_on"]) >= today for one in held
        )

    return Found([one.id for one in missed if not answered(one.id)], len(missed))


def backup_within_plan(look: Look) -> Found:
    """The last good backup is younger than the largest loss (PDMA) of every plan in force."""
    plans, measurements = look.of("continuity-plan", "in-force"), look.facts.measurements.value
    newest = (measurements or {}).get("backup")
    if newest is None or newest.good_at_ms is None:
        return Found([one.key for one in plans], len(plans))
    age_min = (look.context.now_ms - newest.good_at_ms) / 60_000
    return Found([one.key for one in plans if age_min > int(one.fields["pdma_min"])], len(plans))


def plan_promised(look: Look) -> Found:
    """What each plan in force allows is no less than what the platform promises."""
    plans, set_ = look.of("continuity-plan", "in-force"), look.context.settings.backups
    wrong = [
        one.key
        for one in plans
        if int(one.fields["pdma_min"]) < set_.rpo_minutes or int(one.fields["dmia_min"]) < set_.rto_minutes
    ]
    return Found(wrong, len(plans))


def incident_led(look: Look) -> Found:
    """An open incident is led by somebody present, and qualified within its clock."""
    gone = {one.key for one in look.of("person") if has_left(one, look.today)}
    incidents = look.open("incident")
    wrong = [one.key for one in incidents if one.fields["lead"] in gone or _late(look, one, "host")]
    return Found(wrong, len(incidents))


def evidence_kept(look: Look) -> Found:
    """Each archive of evidence that an incident names is there, byte for byte."""
    there = look.facts.archives.value
    assert there is not None
    incidents = [one for one in look.of("incident") if one.fields.get("evidence_sha256")]
    return Found([one.key for one in incidents if not there.issuperset(one.fields["evidence_sha256"])], len(incidents))


def violation_clocks(look: Look) -> Found:
    """No clock of the host runs late on a personal data breach."""
    violations = look.open("violation")
    return Found([one.key for one in violations if _late(look, one, "host")], len(violations))


def request_clocks(look: Look) -> Found:
    """No clock, of the host or of the controller, runs late on a rights request."""
    requests = look.open("rights-request")
    return Found([one.key for one in requests if _late(look, one, "host", "controller")], len(requests))


def erasure_asked(look: Look) -> Found:
    """Each erasure that the platform carried out answers a recorded request."""
    quoted = {name for one in look.of("rights-request") for name in _quoted(one)}
    erasures = look.facts.erasures.value or ()
    return Found([one.id for one in erasures if one.id not in quoted], len(erasures))


def erasure_done(look: Look) -> Found:
    """Each request of erasure that was carried out quotes a certificate that the platform gave."""
    known = {one.id for one in look.facts.erasures.value or ()}
    requests = [one for one in look.of("rights-request", "executed") if one.fields["right"] == "erasure"]
    return Found([one.key for one in requests if known.isdisjoint(_quoted(one))], len(requests))


def act_justified(look: Look) -> Found:
    """Each weighty act of administration of the last month falls in a recorded intervention or change."""
    acts = look.facts.acts.value
    assert acts is not None
    spans = [_span(one, "started_at", "ended_at", "begins_after", "ends_before")
             for one in look.of("intervention", "validated", "in-progress", "done", "reviewed")]  # fmt: skip
    spans += [_span(one, "done_at", "done_at", "window_starts_at", "window_ends_at")
              for one in look.of("change", "scheduled", "emergency", *DONE)]  # fmt: skip
    weighty = [one for one in acts.acts if one.action in WEIGHTY and one.outcome == "done"]

    def within(act: ActFacts) -> bool:
        return any(first <= paris_date(act.at_ms) <= last for first, last in spans)

    wrong = [_dated(one) for one in weighty if not within(one)]
    return Found(wrong, len(weighty), [] if acts.whole else ["journal"])


def tls_renewal(look: Look) -> Found:
    """The served certificate does not end within a month, or its replacement is a change under way."""
    served = look.facts.tls.value
    assert served is not None
    near = not served.own and served.ends_ms < look.context.now_ms + TLS_DAYS * DAY_MS
    planned = any(
        one.fields["kind"] == "configuration" for one in look.of("change", "assessed", "approved", "scheduled")
    )
    return Found([served.address] if near and not planned else [], 1)


def key_age(look: Look) -> Found:
    """No key is older than the policy in force allows."""
    limits = _limits(look, "key_days_max")
    keys = look.facts.keys.value
    assert keys is not None
    if not limits:
        return Found()
    oldest = min(one for one in (keys.root_at_ms, keys.oldest_key_at_ms or keys.root_at_ms) if one)
    days = (look.context.now_ms - oldest) / DAY_MS
    return Found([key for key, limit in limits if days > limit], len(limits))


def key_copies(look: Look) -> Found:
    """Copies of keys on the backup target go as soon as the policy in force says: else an erasure is not one."""
    limits, kept = _limits(look, "backup_key_days_max"), RetentionPolicy().keys_days
    return Found([key for key, limit in limits if kept > limit], len(limits))


def objective_measured(look: Look) -> Found:
    """Each active objective has a value of its period."""
    newest: dict[str, str] = {}
    for one in look.of("indicator-value", "recorded"):
        objective = str(one.fields["objective"])
        newest[objective] = max(newest.get(objective, ""), str(one.fields["measured_on"]))
    objectives = look.of("objective", "active")
    wrong = [
        one.key
        for one in objectives
        if max(newest.get(one.key, ""), str(one.fields["starts_on"])) < _period_start(look.today, one).isoformat()
    ]
    return Found(wrong, len(objectives))


def action_owned(look: Look) -> Found:
    """An open action has an owner within a week of its opening; to amend it does not begin the week anew."""
    oldest_ms = look.context.now_ms - OWNER_DAYS * DAY_MS
    actions = [one for one in look.open("action") if look.begun_ms(one) <= oldest_ms or one.fields.get("owner")]
    return Found([one.key for one in actions if not one.fields.get("owner")], len(actions))


def _quoted(request: RecordVersion) -> list[str]:
    """The references in what a request says of its certificate: an identifier alone, a file's name, a sentence."""
    return _REFERENCE.findall(str(request.fields.get("certificate", "")))


def _late(look: Look, record: RecordVersion, *who: str) -> bool:
    expected = expectations(look.schema(record.register), record, look.context.now_ms)
    return any(
        one.progress is Progress.LATE and one.who in who and one.clock not in ("due", "review") for one in expected
    )


def _span(record: RecordVersion, first: str, last: str, planned: str, planned_end: str) -> tuple[date, date]:
    """First and last day of what was done, or planned; of what is neither, the last day of all."""
    fields = record.fields
    start = fields.get(first) or fields.get(planned)
    end = fields.get(last) or fields.get(planned_end) or start
    return (day_of(start), day_of(end)) if start else (date.max, date.max)


def _dated(act: ActFacts) -> str:
    return f"{act.action} {paris_date(act.at_ms).isoformat()}"


def _limits(look: Look, name: str) -> list[tuple[str, int]]:
    return [(one.key, int(one.fields[name])) for one in look.of("policy", "in-force") if one.fields.get(name)]


def _period_start(today: date, objective: RecordVersion) -> date:
    """The first day from which a value counts for the period: one rhythm back, and as long to record it."""
    rhythm = str(objective.fields["frequency"])
    if rhythm in _DAYS:
        return today - timedelta(days=2 * _DAYS[rhythm])
    return add_months(today, -2 * _MONTHS[rhythm])


JUDGES: Mapping[str, Judge] = {
    "cross.version-recorded": version_recorded,
    "cross.version-newest": version_newest,
    "cross.upgrade-recorded": upgrade_recorded,
    "cross.drill-recorded": drill_recorded,
    "cross.drill-measured": drill_measured,
    "cross.drill-gaps": drill_gaps,
    "cross.backup-within-plan": backup_within_plan,
    "cross.plan-promised": plan_promised,
    "cross.incident-led": incident_led,
    "cross.evidence-kept": evidence_kept,
    "cross.violation-clocks": violation_clocks,
    "cross.request-clocks": request_clocks,
    "cross.erasure-asked": erasure_asked,
    "cross.erasure-done": erasure_done,
    "cross.act-justified": act_justified,
    "cross.tls-renewal": tls_renewal,
    "cross.key-age": key_age,
    "cross.key-copies": key_copies,
    "cross.objective-measured": objective_measured,
    "cross.action-owned": action_owned,
}
