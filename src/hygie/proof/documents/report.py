"""``rapport.pdf``: the posture for people, as PDF/A. This file makes the plain values that ``templates/report.typ``
shows: overview and plots, what is red or unknown first, HDS requirement by requirement, registers, places,
certificates, statement of applicability. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hygie.proof.documents import report_words
from hygie.proof.documents.actors import certificate_standing
from hygie.proof.documents.figures import register_figures
from hygie.proof.documents.model import Inputs
from hygie.proof.documents.statement import Line, statement_lines, totals
from hygie.proof.documents.typesetting import typeset
from hygie.proof.documents.words import EVIDENCE, VERDICTS, Words
from hygie.proof.referentials.model import NODE_MARK
from hygie.proof.referentials.shipped import SHIPPED, shipped
from hygie.registers.holes import ranges

LATE_SHOWN = 200  # past due items listed; beyond, the workbook has them all
COLUMNS_MAX = 120  # of the history's plot: one a day for four months, then one every few days
TOUCHED_SHOWN = 12  # requirements named beside a red check
_AGES = ((3_600, "moins d'une heure", "under an hour"), (86_400, "moins d'un jour", "under a day"),
         (7 * 86_400, "moins de sept jours", "under seven days"), (30 * 86_400, "moins de 30 jours", "under 30 days"),
         (365 * 86_400, "moins d'un an", "under a year"), (10**12, "plus ancienne", "older"))  # fmt: skip
Row = Mapping[str, Any]


def posture_report(inputs: Inputs) -> bytes:
    """The PDF."""
    return typeset("report.typ", report_values(inputs), at_ms=inputs.at_ms)


def report_values(inputs: Inputs) -> dict[str, Any]:
    """What the report shows, as plain values."""
    words = Words(inputs.language)
    made = _Report(inputs, words)
    late = [one for register in register_figures(inputs) for one in register.late]
    labels = report_words.labels(words)
    more = max(0, len(late) - LATE_SHOWN)
    labels["late_more"] = words.say(f"Et {more} autres, dans le classeur.", f"And {more} more, in the workbook.")
    place = inputs.installation
    labels["promises"] = words.say(
        f"Promesse après la perte de tous les sites : reprise en {words.duration(place.rto_s)} (DMIA), perte d'au plus "
        f"{words.duration(place.rpo_s)} de données (PDMA).",
        f"Promise after the loss of all sites: back within {words.duration(place.rto_s)} (RTO), at most "
        f"{words.duration(place.rpo_s)} of data lost (RPO).",
    )
    return {
        "labels": labels,
        "language": inputs.language,
        "demonstration": inputs.demonstration,
        "title": words.say("Rapport de posture", "Posture report"),
        "date": words.date(inputs.at_ms),
        "instant": words.instant(inputs.at_ms),
        "origin": place.origin,
        "identity": made.identity(),
        "summary": made.summary(),
        "guide": report_words.guide(words),
        "guide_verdicts": report_words.guide_verdicts(words),
        **made.history(),
        **made.ages(),
        "red": made.work("unsatisfied"),
        "unknown": made.work("unknown"),
        "uncovered": made.uncovered(),
        "hds": made.hds(),
        "others": made.others(),
        "registers": made.registers(),
        "late": [
            {
                "due": words.day(one.due),
                "what": words.say(one.fr, one.en),
                "key": one.key,
                "register": words.label(inputs.schemas[one.register]),
            }
            for one in sorted(late, key=lambda one: (one.due, one.register, one.key))[:LATE_SHOWN]
        ],
        "late_more": more,
        **made.places(),
        **_statement(inputs, words),
    }


class _Report:
    """Sections that look at the posture."""

    def __init__(self, inputs: Inputs, words: Words) -> None:
        self._inputs, self._words = inputs, words
        self._controls: Mapping[str, Row] = {one["id"]: one for one in inputs.posture["controls"]}
        self._checks: Mapping[str, Row] = {one["id"]: one for one in inputs.posture["checks"]}

    def identity(self) -> list[list[str]]:
        words, posture, place, batches = (
            self._words,
            self._inputs.posture,
            self._inputs.installation,
            self._inputs.batches,
        )
        count, runs = words.number(batches.count), words.number(batches.runs)
        mode = words.say("production", "production") if posture["mode"] == "production" else words.say("essai", "trial")
        lost = [[words.say("Évaluations perdues", "Evaluations lost"), ranges(posture["lost"])]]
        return [
            [words.say("Installation", "Installation"), place.origin],
            [words.say("Fonctionnement", "Mode"), mode],
            [words.say("Version d'Hygie", "Version of Hygie"), place.version],
            [words.say("Dernière évaluation", "Last evaluation"),
             words.say(f"n° {posture['batch']}, {words.instant(batches.last_ms) or 'aucune'}",
                       f"number {posture['batch']}, {words.instant(batches.last_ms) or 'none'}")],
            [words.say("Évaluations", "Evaluations"),
             words.say(f"{count}, soit {runs} contrôles joués, depuis le {words.date(batches.first_ms)}",
                       f"{count}, that is {runs} runs of checks, since {words.date(batches.first_ms)}")],
            *(lost if posture["lost"] else []),
            [words.say("Empreinte", "Digest"), posture["digest"][:32] + "…"],
        ]  # fmt: skip

    def summary(self) -> list[dict[str, Any]]:
        found = []
        for name, counts in self._inputs.posture["summary"].items():
            split = self._split(name)
            told = ", ".join(f"{self._words.verdict(one)} : {counts[one]}" for one in VERDICTS)
            decided = self._words.say(
                f"Exigences décidées par une machine : {counts['machine']}, des personnes : {counts['people']}, "
                f"les deux : {counts['mixed']}",
                f"Requirements decided by a machine: {counts['machine']}, people: {counts['people']}, "
                f"both: {counts['mixed']}",
            )
            row = {one: counts[one] for one in (*VERDICTS, "total")}
            row |= {"title": self._title(name), "split": split, "decided": decided}
            row["alt"] = f"{self._title(name)}. {told}."
            row["split_alt"] = f"{self._title(name)}. " + ", ".join(
                f"{self._words.evidence(one)} : {count}" for one, count in split.items()
            )
            found.append(row)
        return found

    def _split(self, referential: str) -> dict[str, int]:
        """Checks that serve a référentiel, each counted once, by kind of evidence."""
        names: dict[str, None] = {}
        for row in self._inputs.posture["requirements"]:
            if row["ref"].startswith(f"{referential}{NODE_MARK}"):
                names |= {check: None for control in row["controls"] for check in self._controls[control]["checks"]}
        found = dict.fromkeys(EVIDENCE, 0)
        for name in names:
            found[self._kind(self._checks[name])] += 1
        return found

    def _kind(self, check: Row) -> str:
        return "none" if check["verdict"] == "unknown" else str(check["evidence"])

    def _title(self, referential: str) -> str:
        return self._words.of(shipped(referential).title) if referential in SHIPPED else referential

    def history(self) -> dict[str, Any]:
        days = self._inputs.batches.history
        step = -(-len(days) // COLUMNS_MAX) or 1
        chosen = [day for place, day in enumerate(reversed(days)) if place % step == 0][::-1]
        rows = [
            {
                "label": self._words.day(day.day),
                "total": max(1, sum(day.by_verdict.values())),
                **{one: day.by_verdict.get(one, 0) for one in ("satisfied", "unsatisfied", "unknown")},
            }
            for day in chosen
        ]
        said = "; ".join(
            f"{row['label']} : " + ", ".join(f"{self._words.verdict(one)} {row[one]}" for one in list(VERDICTS)[:3])
            for row in (rows[:1] + rows[-1:])
        )
        return {"history": rows, "history_alt": said or "-"}

    def ages(self) -> dict[str, Any]:
        counts = [0] * len(_AGES)
        never = 0
        for check in self._checks.values():
            if check["ran_ms"] is None:
                never += 1
                continue
            age_s = (self._inputs.at_ms - check["at_ms"]) / 1000
            counts[next(place for place, (limit, _, _) in enumerate(_AGES) if age_s < limit)] += 1
        rows: list[dict[str, Any]] = [
            {"label": self._words.say(fr, en), "count": count, "known": True}
            for (_, fr, en), count in zip(_AGES, counts, strict=True)
        ]
        rows.append({"label": self._words.say("jamais contrôlé", "never checked"), "count": never, "known": False})
        return {"ages": rows, "ages_alt": "; ".join(f"{row['label']} : {row['count']}" for row in rows)}

    def work(self, verdict: str) -> list[dict[str, str]]:
        words, touched = self._words, self._touched()
        return [
            {
                "id": one["id"],
                "verdict": verdict,
                "title": words.of(one["title"]),
                "why": words.of(one["why"]),
                "observed": words.of(one.get("observed")),
                "declared": words.of(one.get("declared")),
                "remedy": words.of(one.get("remedy")),
                "owner": words.owner(one["owner"]),
                "since": words.date(one.get("since_ms")),
                "touches": _some(touched.get(one["id"], [])),
            }
            for one in self._inputs.posture["checks"]
            if one["verdict"] == verdict
        ]

    def _touched(self) -> dict[str, list[str]]:
        """Assessable requirements that rest on each check."""
        found: dict[str, list[str]] = {}
        for row in self._inputs.posture["requirements"]:
            for name in dict.fromkeys(check for one in row["controls"] for check in self._controls[one]["checks"]):
                found.setdefault(name, []).append(row["id"])
        return found

    def uncovered(self) -> list[dict[str, str]]:
        return [
            {"referential": row["ref"].partition(NODE_MARK)[0], "id": row["id"], "title": self._words.of(row["title"])}
            for row in self._inputs.posture["requirements"]
            if row["assessable"] and row["verdict"] == "unknown" and not any(row["evidence"].values())
        ]

    def hds(self) -> list[dict[str, Any]]:
        words, found, levels = self._words, [], dict[str, int]()
        for row in self._inputs.posture["requirements"]:
            if not row["ref"].startswith("hds@"):
                continue
            levels[row["ref"]] = levels[row["parent"]] + 1 if row["parent"] else 0
            controls = [
                {
                    "title": words.of(self._controls[name]["title"]),
                    "checks": [self._shown(self._checks[check]) for check in self._controls[name]["checks"]],
                }
                for name in row["controls"]
            ]
            found.append(
                {
                    "id": row["id"],
                    "title": words.of(row["title"]),
                    "level": levels[row["ref"]],
                    "verdict": row["verdict"],
                    "why": words.of(row["why"]),
                    "evidence": row["evidence"],
                    "controls": controls,
                }
            )
        return found

    def _shown(self, check: Row) -> dict[str, str]:
        return {
            "id": check["id"],
            "title": self._words.of(check["title"]),
            "verdict": check["verdict"],
            "kind": self._kind(check),
            "until": self._words.date(check.get("fresh_until_ms")),
        }

    def others(self) -> list[dict[str, Any]]:
        found = []
        for name in self._inputs.posture["referentials"]:
            if name.startswith("hds@"):
                continue
            rows = [
                {
                    "id": row["id"],
                    "title": self._words.of(row["title"]),
                    "verdict": row["verdict"],
                    "evidence": row["evidence"],
                }
                for row in self._inputs.posture["requirements"]
                if row["assessable"] and row["ref"].startswith(f"{name}{NODE_MARK}")
            ]
            if rows:
                found.append({"title": self._title(name), "rows": rows})
        return found

    def registers(self) -> list[dict[str, Any]]:
        return [
            {
                "title": one.title,
                "owner": one.owner,
                "records": one.records,
                "open": one.open,
                "late": len(one.late),
            }
            for one in register_figures(self._inputs)
        ]

    def places(self) -> dict[str, Any]:
        words, inputs = self._words, self._inputs
        names = {one.key: str(one.fields["name"]) for one in inputs.records.get("supplier", ())}
        numbers = {one.key: str(one.fields["number"]) for one in inputs.records.get("certificate", ())}
        return {
            "countries": ", ".join(words.country(one) for one in inputs.installation.allowed_countries),
            "sites": [
                {"name": one.name, "city": one.city, "operator": one.operator, "country": words.country(one.country)}
                for one in inputs.installation.sites
            ],
            "site_records": [
                {
                    "name": one.fields["name"],
                    "city": f"{one.fields['city']} ({words.country(one.fields['country'])})",
                    "operator": one.fields["operator"],
                    "activities": _activities(one.fields.get("activities")),
                    "certificates": ", ".join(numbers.get(key, key) for key in one.fields.get("certificates", ())),
                }
                for one in inputs.records.get("site", ())
                if one.state == "active"
            ],
            "certificates": [
                {
                    "holder": names.get(one.fields["holder"], one.fields["holder"]),
                    "number": one.fields["number"],
                    "scheme": f"{self._scheme(one.fields['scheme'])} {one.fields['edition']}",
                    "activities": _activities(one.fields.get("activities")),
                    "issued": words.day(one.fields["issued_on"]),
                    "expires": words.day(one.fields["expires_on"]),
                    "state": certificate_standing(one, inputs)[1],
                    "good": certificate_standing(one, inputs)[0],
                }
                for one in inputs.records.get("certificate", ())
            ],
        }

    def _scheme(self, value: str) -> str:
        field = self._inputs.schemas["certificate"].field("scheme")
        return self._words.value(field, value) if field is not None else value


def _statement(inputs: Inputs, words: Words) -> dict[str, Any]:
    lines = statement_lines(inputs)
    found = totals(lines)
    themes: dict[str, list[Line]] = {}
    for one in lines:
        themes.setdefault(one.theme, []).append(one)
    facts = [
        [words.say("Mesures retenues", "Controls kept"), f"{found['applicable']} / {found['total']}"],
        [words.say("Mesures écartées", "Controls left out"), str(found["excluded"])],
        [words.say("Décisions approuvées", "Decisions approved"), str(found["decided"])],
    ]
    rows = [{"title": theme, "rows": [_statement_row(one, words) for one in each]} for theme, each in themes.items()]
    return {"soa": rows, "soa_facts": facts}


def _statement_row(one: Line, words: Words) -> dict[str, Any]:
    decided = words.say(
        f"Approuvé par {one.approver}, {words.day(one.decided_on)}",
        f"Approved by {one.approver}, {words.day(one.decided_on)}",
    )
    return {
        "control": one.control,
        "title": one.title,
        "applicable": one.applicable,
        "reason": one.reason,
        "decision": decided if one.decided else "",
        "verdict": one.verdict,
        "evidence": one.evidence,
        "answers": ", ".join(title for _, title in one.answers),
    }


def _activities(numbers: Sequence[int] | None) -> str:
    return ", ".join(f"{one}°" for one in numbers or ())


def _some(ids: Sequence[str]) -> str:
    more = len(ids) - TOUCHED_SHOWN
    return ", ".join(ids[:TOUCHED_SHOWN]) + (f" … (+{more})" if more > 0 else "")
