"""The posture: which requirements hold with these registers on this platform, and what does not, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hygie.base.civil import paris_date
from hygie.base.language import say
from hygie.demo.stage import Stage, check
from hygie.demo.story import Proved, Table
from hygie.proof.certification.agenda import WARNING
from hygie.proof.checks import CHECKS
from hygie.proof.model import Text, Verdict
from hygie.proof.posture import Row, build_posture
from hygie.proving import ProofPlane
from hygie.registers.chain import RecordVersion
from hygie.registers.engine import Asked

OPEN: Mapping[str, Text] = {  # what no register settles here, and what is said of it when it does not hold
    "cross.contract-availability": Text(
        "Inconnue encore, la disponibilité promise aux contrats : il y faut un jour de minutes mesurées.",
        "Still unknown, the availability that contracts promise: it takes a day of minutes measured.",
    ),
    "cross.patch-due": Text(
        "Inconnues ici, les vulnérabilités de ce qui tourne : la démonstration n'apporte aucun flux.",
        "Unknown here, the vulnerabilities of what runs: the demonstration brings no feed.",
    ),
    "cross.patch-feed": Text(
        "Inconnu, l'âge des flux de vulnérabilités : aucun n'a été apporté.",
        "Unknown, the age of vulnerability feeds: none was brought.",
    ),
    "cross.patch-effective": Text(
        "Inconnu, l'effet des correctifs inscrits : il se lit dans un flux.",
        "Unknown, what recorded patches achieved: a feed tells.",
    ),
    "cross.sessions-read": Text(
        "Sans réponse, les sessions d'administration : la démonstration ne lit le journal d'aucune machine.",
        "Without an answer, administration sessions: the demonstration reads no machine's log.",
    ),
    "cross.stores-listed": Text(
        "Rouge, les stockages de cette machine : d'autres installations s'y trouvent, qu'aucun registre n'inscrit.",
        "Red, the stores of this machine: other installations lie on it that no register lists.",
    ),
}
TECHNICAL = frozenset(one.id for one in CHECKS)  # what one machine lacks is told by the step of the obligations
SETTLED = (Verdict.SATISFIED.value, Verdict.NOT_APPLICABLE.value)
ORDER = (Verdict.SATISFIED, Verdict.UNSATISFIED, Verdict.UNKNOWN, Verdict.NOT_APPLICABLE)


async def posture(stage: Stage) -> Proved:
    """All that registers can answer for is satisfied, and they agree with what the platform shows."""

    def act(plane: ProofPlane) -> tuple[Row, list[RecordVersion]]:
        known, now_ms = plane.evidence.known(), plane.evidence.clock.now_ms()
        batch = known.batch
        found = build_posture(
            known.catalogue, known.runs, at_ms=now_ms, batch=batch.seq, digest=batch.digest, mode=batch.mode
        )
        told = plane.registers.current(Asked(WARNING))
        today = paris_date(now_ms).isoformat()
        ahead = sorted(
            (one for one in told if str(one.fields["due_on"]) >= today), key=lambda one: one.fields["due_on"]
        )
        return found, ahead

    found, warnings = await stage.platform.proof(act)
    wrong = disagreeing(found["checks"])
    check(
        not wrong,
        fr=f"registres et plateforme ne s'accordent pas sur {', '.join(wrong)}",
        en=f"registers and platform do not agree on {', '.join(wrong)}",
    )
    return _proved(found, warnings)


def disagreeing(checks: Iterable[Row]) -> list[str]:
    """The checks on registers, and of registers with the platform, that do not hold and should."""
    return [one["id"] for one in checks if one["verdict"] not in SETTLED and one["id"] not in TECHNICAL | OPEN.keys()]


def _proved(found: Row, warnings: Sequence[RecordVersion]) -> Proved:
    judged = [one for one in found["checks"] if one["id"] not in TECHNICAL]
    cross = [one["verdict"] in SETTLED for one in judged if one["id"].startswith("cross.")]
    proved = Proved(facts={"summary": found["summary"], "batch": found["batch"], "warnings": len(warnings)})
    proved.lines = [
        say(
            fr=f"{len(judged) - len(cross)} contrôles des registres tiennent ; registres et plateforme disent la même"
            f" chose dans {sum(cross)} contrôles croisés sur {len(cross)}.",
            en=f"{len(judged) - len(cross)} checks of registers hold; registers and platform say the same in"
            f" {sum(cross)} cross-checks of {len(cross)}.",
        ),
        *(OPEN[one["id"]].said() for one in judged if one["verdict"] not in SETTLED),
        *(_warned(one) for one in warnings[:1]),
        say(
            fr="Une exigence tient quand tout ce qui la porte tient, contrôles techniques compris :",
            en="A requirement holds when all that carries it holds, technical checks included:",
        ),
    ]
    names = (("tenues", "hold"), ("non tenues", "do not"), ("inconnues", "unknown"), ("sans objet", "do not apply"))
    proved.table = Table(
        (say(fr="référentiel", en="référentiel"), *(say(fr=fr, en=en) for fr, en in names)),
        tuple(
            (f"{name} ({counts['total']})", *(counts[one.value] for one in ORDER))
            for name, counts in found["summary"].items()
        ),
    )
    proved.commands = ["hygie posture", "hygie posture EXI-05", "hygie certification calendar"]
    return proved


def _warned(one: RecordVersion) -> str:
    fields = one.fields
    return say(
        fr=f"Échéance annoncée d'elle-même : {fields['title_fr']}, au plus tard le {fields['due_on']}.",
        en=f"Warned of by itself: {fields['title_en']}, due on {fields['due_on']}.",
    )
