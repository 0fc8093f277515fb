"""Notices of an incident, prepared from what is recorded and measured; a person sends them. Pure.

Source: RGPD 33.3 and 33.4 (what is not known yet is said as such, and follows); Directive (EU) 2022/2555, art. 23.4;
CSP L.1111-8-2. The host tells its clients and, where NIS 2 binds it, its own authority; what the CNIL and the health
authorities get is filed by the client: the host prepares it for the client, and says so on the page.

A client's notice holds nothing of another client: of findings, its own ones and the platform's, never their groups.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from hygie.base.language import say
from hygie.proof.documents.words import PARIS
from hygie.proof.incidents.clocks import RunningClock
from hygie.registers.chain import RecordVersion
from hygie.registers.schema import Schema, Schemas

FORMAT = "hygie incident notice 1"
Kind = Literal["controller", "cnil", "health-authority", "nis2-warning", "nis2-notification", "nis2-report"]
FOR_CLIENT: tuple[Kind, ...] = ("controller", "cnil", "health-authority")
KINDS: tuple[Kind, ...] = (*FOR_CLIENT, "nis2-warning", "nis2-notification", "nis2-report")


@dataclass(frozen=True, slots=True)
class FindingLine:
    """What a notice says of a finding: never its group."""

    title: str
    count: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Touched:
    """What the journal shows of a client during the findings. entries: acts on data; objects: versions they touched;
    subjects: distinct patients, counted by pseudonym; whole: the journal was read to the beginning of the findings."""

    entries: int
    objects: int
    subjects: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """What a notice is made from. violation: the client's record; contact: whom it goes to; host, contact_point: who
    sends it; touched: None when no finding tells an account or a time; clocks: of the incident; at: now, as stored."""

    kind: Kind
    incident: RecordVersion
    schemas: Schemas
    client: str
    violation: RecordVersion | None
    contact: RecordVersion | None
    host: str
    contact_point: str
    findings: Sequence[FindingLine]
    touched: Touched | None
    clocks: Sequence[RunningClock]
    at: str
    trial: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines; none: what it asks is not known yet."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice, ready to be read and sent. preamble: who sends it to whom, and what it is not."""

    kind: Kind
    title: str
    preamble: tuple[str, ...]
    sections: tuple[Section, ...]
    head: dict[str, str]

    def as_json(self) -> bytes:
        """For programs; ``known`` is false where a section waits for what follows."""
        whole = {
            "format": FORMAT,
            "kind": self.kind,
            **self.head,
            "title": self.title,
            "preamble": list(self.preamble),
            "sections": [
                {"title": one.title, "known": bool(one.lines), "lines": list(one.lines)} for one in self.sections
            ],
        }
        return json.dumps(whole, ensure_ascii=False, indent=1).encode() + b"\n"

    def as_text(self) -> bytes:
        """For people: Markdown."""
        parts = [f"# {self.title}", *self.preamble]
        for number, one in enumerate(self.sections, 1):
            lines = "\n".join(f"- {_line(each)}" for each in one.lines or (_unknown(),))
            parts.append(f"## {number}. {one.title}\n\n{lines}")
        return ("\n\n".join(parts) + "\n").encode()

    def as_values(self) -> dict[str, Any]:
        """For the template of the PDF."""
        sections = [[one.title, list(one.lines or (_unknown(),))] for one in self.sections]
        return {"title": self.title, "preamble": list(self.preamble), "sections": sections, "foot": self.head["made"]}


def make_notice(known: Known) -> Notice:
    """The notice of that kind, in the person's language."""
    sections = _for_client(known) if known.kind in FOR_CLIENT else _for_authority(known)
    head = {"incident": known.incident.key, "client": known.client, "made": known.at}
    return Notice(known.kind, _title(known), _preamble(known), tuple(sections), head)


def _title(known: Known) -> str:
    key = known.incident.key
    titles = {
        "controller": (f"Violation de données : avis au responsable de traitement ({key})",
                       f"Personal data breach: notice to the controller ({key})"),
        "cnil": (f"Notification à la CNIL : projet pour le responsable de traitement ({key})",
                 f"Notice to the CNIL: draft for the controller ({key})"),
        "health-authority": (f"Signalement d'un incident de sécurité en santé : projet pour l'établissement ({key})",
                             f"Report of a health security incident: draft for the care body ({key})"),
        "nis2-warning": (f"NIS 2 : alerte précoce ({key})", f"NIS 2: early warning ({key})"),
        "nis2-notification": (f"NIS 2 : notification d'incident ({key})", f"NIS 2: incident notification ({key})"),
        "nis2-report": (f"NIS 2 : rapport final ({key})", f"NIS 2: final report ({key})"),
    }  # fmt: skip
    fr, en = titles[known.kind]
    return say(fr=fr, en=en)


def _preamble(known: Known) -> tuple[str, ...]:
    said = []
    if known.trial:
        said.append(
            say(fr="INSTALLATION D'ESSAI : ceci n'est pas un avis réel.", en="TRIAL INSTALLATION: no real notice.")
        )
    said.append(
        say(
            fr=f"De : {known.host}. Établi le {_moment(known.at)}.",
            en=f"From: {known.host}. Made on {_moment(known.at)}.",
        )
    )
    if known.contact is not None:
        fields = known.contact.fields
        said.append(say(fr=f"À : {fields['name']}, {fields['organisation']}, {fields['function']}.",
                        en=f"To: {fields['name']}, {fields['organisation']}, {fields['function']}."))  # fmt: skip
    if known.kind in ("cnil", "health-authority"):
        said.append(
            say(
                fr="L'hébergeur ne dépose pas : le client relit, complète, décide et dépose.",
                en="The host does not file: the client reads, completes, decides and files.",
            )
        )
    if known.kind == "controller":
        said.append(
            say(
                fr="Cet avis vous informe (RGPD 33.2). Votre délai de 72 heures envers la CNIL (RGPD 33.1) part de sa"
                " réception, sauf si vous saviez déjà.",
                en="This notice informs you (RGPD 33.2). Your 72 hours towards the CNIL (RGPD 33.1) run from its"
                " receipt, unless you knew before.",
            )
        )
    said.append(
        say(
            fr="Ce qui n'est pas encore connu est dit comme tel et suivra sans retard indu (RGPD 33.4).",
            en="What is not known yet is said as such, and will follow without undue further delay (RGPD 33.4).",
        )
    )
    return tuple(said)


def _for_client(known: Known) -> list[Section]:
    incident, record = _Fields(known.incident, known.schemas["incident"]), None
    if known.violation is not None:
        record = _Fields(known.violation, known.schemas["violation"])
    own = record or _Fields(None, known.schemas["violation"])
    times = [*incident.labelled("occurred_at", "detected_at", "qualified_at", "contained_at", "resolved_at")]
    nature = [*own.labelled("nature", "title"), *incident.labelled("kind", "severity"), *times]
    sections = [
        Section(say(fr="Nature de la violation et chronologie", en="Nature of the breach, and times"), tuple(nature)),
        Section(say(fr="Faits", en="Facts"), (*own.values("facts"), *_seen(known))),
        Section(say(fr="Personnes : catégories, nombre approché", en="Persons: categories, approximate number"),
                (*own.values("people_categories"), *own.values("people_count"), *_subjects(known))),
        Section(say(fr="Enregistrements : catégories, nombre approché", en="Records: categories, approximate number"),
                (*own.values("data_categories"), *own.values("records_count"), *_objects(known))),
        Section(say(fr="Point de contact", en="Contact point"),
                own.values("contact_point") or _filled(known.contact_point)),
        Section(say(fr="Conséquences probables", en="Likely consequences"), own.values("consequences")),
        Section(say(fr="Mesures prises ou proposées", en="Measures taken or proposed"), own.values("measures")),
        Section(say(fr="Risque pour les personnes", en="Risk for the persons"),
                (*own.labelled("risk", "risk_reason", "encrypted"),)),
    ]  # fmt: skip
    if known.kind == "health-authority":
        sections.append(
            Section(say(fr="Effet sur les soins, le fonctionnement, l'organisation territoriale (L.1111-8-2 CSP)",
                        en="Effect on care, on running, on the territorial organisation of care (CSP L.1111-8-2)"),
                    (*incident.labelled("outage_min", "loss_min"), *own.labelled("health_incident")))
        )  # fmt: skip
    if known.kind == "cnil":
        sections.append(Section(say(fr="Motif d'une notification au-delà de 72 heures", en="Why later than 72 hours"),
                                own.values("cnil_reason")))  # fmt: skip
    sections.append(_hours(known))
    return sections


def _for_authority(known: Known) -> list[Section]:
    one = _Fields(known.incident, known.schemas["incident"])
    criteria = one.values("nis2_criteria")
    malicious = {"malicious", "disruption", "secrets"} & set(known.incident.fields.get("nis2_criteria", ()))
    sections = [
        Section(say(fr="Incident", en="Incident"), (*one.labelled("title", "kind", "severity"),)),
        Section(say(fr="Chronologie", en="Times"),
                (*one.labelled("occurred_at", "detected_at", "qualified_at", "contained_at", "resolved_at"),)),
        Section(say(fr="Pourquoi il est important", en="Why it is significant"),
                (*criteria, *one.labelled("outage_min", "loss_min"))),
        Section(say(fr="Acte sans doute illicite ou malveillant", en="Suspected unlawful or malicious act"),
                (say(fr="oui, d'après les critères cochés", en="yes, by the criteria ticked"),) if malicious else ()),
        Section(say(fr="Effet transfrontière", en="Cross-border impact"), ()),
        Section(say(fr="Point de contact", en="Contact point"), _filled(known.contact_point)),
    ]  # fmt: skip
    if known.kind != "nis2-warning":
        sections += [
            Section(say(fr="Première évaluation : faits et conséquences", en="First assessment: facts and impact"),
                    (*one.values("description"), *one.values("impact"))),
            Section(say(fr="Indices de compromission", en="Indicators of compromise"), _seen(known)),
        ]  # fmt: skip
    if known.kind == "nis2-report":
        sections += [
            Section(say(fr="Menace ou cause première", en="Threat or root cause"), one.values("cause")),
            Section(say(fr="Mesures appliquées et en cours", en="Measures applied and under way"),
                    (*one.values("lesson"), *one.values("actions"))),
            Section(say(fr="Déroulé", en="Course"), one.values("timeline")),
        ]  # fmt: skip
    return [*sections, _hours(known)]


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a record as people read them; of no record, nothing."""

    record: RecordVersion | None
    schema: Schema

    def values(self, name: str) -> tuple[str, ...]:
        """The values of one field."""
        field, value = self.schema.field(name), self.record.fields.get(name) if self.record is not None else None
        if field is None or value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        return tuple(_moment(each) if field.type == "instant" else field.shown(each) for each in items)

    def labelled(self, *names: str) -> tuple[str, ...]:
        """The same of several, each with its label."""
        return tuple(
            f"{field.label} : {', '.join(found)}"
            for name in names
            if (field := self.schema.field(name)) is not None and (found := self.values(name))
        )


def _seen(known: Known) -> tuple[str, ...]:
    """What the watch noticed."""
    return tuple(f"{one.title} : {one.count} ×, {_moment(one.first)} → {_moment(one.last)}" for one in known.findings)


def _subjects(known: Known) -> tuple[str, ...]:
    if known.touched is None:
        return ()
    least = "" if known.touched.whole else say(fr="au moins ", en="at least ")
    count = known.touched.subjects
    return (say(fr=f"mesuré au journal : {least}{count} patients distincts, par les actes relevés",
                en=f"measured in the journal: {least}{count} distinct patients, by acts noticed"),)  # fmt: skip


def _objects(known: Known) -> tuple[str, ...]:
    if known.touched is None:
        return ()
    least = "" if known.touched.whole else say(fr="au moins ", en="at least ")
    entries, objects = known.touched.entries, known.touched.objects
    return (say(fr=f"mesuré au journal : {least}{entries} actes sur {objects} objets",
                en=f"measured in the journal: {least}{entries} acts on {objects} objects"),)  # fmt: skip


def _hours(known: Known) -> Section:
    """The clocks that this notice is about: the host's own, and of breaches the client's."""
    mine = "" if known.violation is None else known.violation.key
    named = [
        one
        for one in known.clocks
        if (one.expected.key == mine if known.kind in FOR_CLIENT else one.expected.clock.startswith("nis2"))
        and one.expected.key in (mine, known.incident.key)
    ]
    lines = tuple(
        say(fr=f"{one.expected.label} : avant le {_moment(one.expected.due)} ({one.expected.source})",
            en=f"{one.expected.label}: by {_moment(one.expected.due)} ({one.expected.source})")
        for one in named
    )  # fmt: skip
    return Section(say(fr="Délais qui courent", en="Clocks that run"), lines)


def _filled(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _unknown() -> str:
    return say(fr="Pas encore connu.", en="Not known yet.")


def _moment(stored: str) -> str:
    """``02/11/2026 à 09:00 (Paris)``."""
    at = datetime.fromisoformat(stored).astimezone(PARIS)
    return at.strftime(say(fr="%d/%m/%Y à %H:%M (Paris)", en="%Y-%m-%d %H:%M (Paris)"))


def _line(text: str) -> str:
    """A text of a record as one line of Markdown that holds no markup of its own."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>#" else one for one in " ".join(text.split()))
