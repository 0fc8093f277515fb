"""How an incident and its clocks are shown to people and to machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hygie.base.language import say

if TYPE_CHECKING:
    from hygie.cli.console import Console
    from hygie.incidents import Incident
    from hygie.proof.incidents.clocks import RunningClock

WHO = {
    "host": ("hébergeur", "host"),
    "controller": ("responsable de traitement", "controller"),
    "authority": ("autorité", "authority"),
}


def show_listed(out: Console, found: list[Incident]) -> None:
    """Each incident with its most pressing clock."""
    columns = [say(fr="clé", en="key"), say(fr="gravité", en="severity"), say(fr="état", en="state")]
    columns += [
        say(fr="incident", en="incident"),
        say(fr="prochain délai", en="next clock"),
        say(fr="reste", en="left"),
    ]
    out.table(columns, [_line(one) for one in found])
    if not found:
        out.line(say(fr="Aucun incident ouvert.", en="No open incident."))
    out.result([as_row(one) for one in found])


def show_one(out: Console, one: Incident) -> None:
    """One incident: what is known, what is lacking, every clock."""
    record = one.record
    out.line(f"{record.key}  {record.fields['title']}  ({one.schema.state(record.state).label})")
    for name in ("severity", "kind", "health_data", "clients", "lead", "detected_at", "evidence_sha256"):
        field = one.schema.field(name)
        value = record.fields.get(name)
        if field is not None:
            shown = ", ".join(map(field.shown, value)) if isinstance(value, list) else field.shown(value or "-")
            out.line(f"{field.label} : {shown}")
    out.line(_significance(one))
    columns = [say(fr="délai", en="clock"), say(fr="fiche", en="record"), say(fr="à qui", en="whose")]
    columns += [say(fr="depuis", en="since"), say(fr="jusqu'à", en="until"), say(fr="reste", en="left")]
    columns += [say(fr="fait", en="done"), say(fr="texte", en="text")]
    out.table(columns, [_clock_line(clock) for clock in one.clocks])
    out.result(as_row(one))


def as_row(one: Incident) -> dict[str, Any]:
    """An incident as machines read it."""
    fields = one.record.fields
    return {
        "incident": one.record.key,
        "state": one.record.state,
        "title": fields["title"],
        "severity": fields["severity"],
        "health_data": fields["health_data"],
        "clients": list(fields.get("clients", ())),
        "violations": [each.key for each in one.violations],
        "nis2": {"in_scope": one.in_scope, "significant": fields.get("nis2"), "met": [each.id for each in one.met]},
        "clocks": [_clock_row(clock) for clock in one.clocks],
    }


def _significance(one: Incident) -> str:
    if not one.in_scope:
        return say(fr="NIS 2 : l'hébergeur n'y est pas soumis.", en="NIS 2: does not bind the host.")
    said = one.record.fields.get("nis2")
    if said:
        return say(fr=f"NIS 2 : incident important ({_met(one)}).", en=f"NIS 2: a significant incident ({_met(one)}).")
    if said is False:
        return say(fr="NIS 2 : jugé non important.", en="NIS 2: judged not significant.")
    return say(
        fr="NIS 2 : aucun critère réuni d'après la fiche ; cochez nis2_criteria s'il y en a.",
        en="NIS 2: no criterion met by the record; tick nis2_criteria if there is one.",
    )


def _met(one: Incident) -> str:
    return " ; ".join(each.label for each in one.met) or say(fr="décision inscrite", en="decision recorded")


def _line(one: Incident) -> list[object]:
    record = one.record
    following = next((clock for clock in one.clocks if clock.open), None)
    severity = one.schema.field("severity")
    return [
        record.key,
        severity.shown(record.fields["severity"]) if severity is not None else "",
        one.schema.state(record.state).label,
        record.fields["title"],
        following.expected.label if following is not None else "-",
        following.left if following is not None else "",
    ]


def _clock_line(clock: RunningClock) -> list[object]:
    one = clock.expected
    fr, en = WHO[one.who]
    return [one.label, one.key, say(fr=fr, en=en), one.since, one.due, clock.left, one.done or "-", one.source]


def _clock_row(clock: RunningClock) -> dict[str, Any]:
    one = clock.expected
    return {
        "record": one.key,
        "client": one.tenant,
        "clock": one.clock,
        "label": one.label,
        "who": one.who,
        "status": one.status,
        "source": one.source,
        "since": one.since,
        "until": one.due,
        "done": one.done,
        "progress": one.progress.value,
        "left_s": clock.left_s,
        "near": clock.near,
    }
