"""tech-4, backups: recent, proved by a restore, out of reach of production's administrator."""

from __future__ import annotations

from hygie.proof.facts import Measurements, TargetFacts
from hygie.proof.judge import duration
from hygie.proof.model import Check, Context, Outcome, Text, same, satisfied, unknown, unsatisfied

MINUTES_S = 600.0
DRILL_DAYS_MAX = 90
_DAY_S = 86_400.0


def recent(fact: Measurements, context: Context) -> Outcome:
    """The newest backup is within the promise (PDMA)."""
    newest = fact.get("backup")
    promise_s = context.settings.backups.rpo_minutes * 60
    limit = duration(promise_s)
    declared = Text(f"moins de {limit.fr}", f"less than {limit.en}")
    remedy = same("hygie backup run")
    if newest is None:
        return unsatisfied(Text("Aucune sauvegarde.", "No backup."), same("-"), declared, remedy)
    age_s = (context.now_ms - newest.at_ms) / 1000
    age = duration(age_s)
    observed = Text(f"il y a {age.fr}", f"{age.en} ago")
    if not newest.passed or age_s > promise_s:
        why = Text("La dernière sauvegarde manque ou date trop.", "The last backup failed, or is too old.")
        return unsatisfied(why, observed, declared, remedy, at_ms=newest.at_ms)
    return satisfied(Text("Sauvegarde récente.", "A recent backup."), observed, declared, at_ms=newest.at_ms)


def drilled(fact: Measurements, context: Context) -> Outcome:
    """A restore was really done, and kept its promise."""
    newest = fact.get("drill-restore")
    declared = Text(f"restauration réussie depuis moins de {DRILL_DAYS_MAX} j", f"a restore within {DRILL_DAYS_MAX} d")
    remedy = same("hygie drill restore")
    if newest is None:
        return unknown(Text("Aucun exercice de restauration.", "No restore drill yet."), same("-"), declared, remedy)
    age = duration((context.now_ms - newest.at_ms) / 1000)
    observed = Text(f"il y a {age.fr}", f"{age.en} ago")
    if not newest.passed:
        why = Text("Le dernier exercice a échoué.", "The last drill failed.")
        return unsatisfied(why, observed, declared, remedy, at_ms=newest.at_ms)
    why = Text(f"Restauration prouvée il y a {age.fr}.", f"A restore was proved {age.en} ago.")
    return satisfied(why, observed, declared, at_ms=newest.at_ms)


def locked(fact: TargetFacts, _: Context) -> Outcome:
    """Nobody can delete a backup, production's administrator included."""
    observed = Text(
        f"dossier de {fact.administrator}, même disque : {'oui' if fact.same_disk else 'non'}",
        f"folder of {fact.administrator}, same disk: {'yes' if fact.same_disk else 'no'}",
    )
    declared = Text("verrou sous une autre administration", "a lock under another administrator")
    if not fact.locked:
        remedy = Text(
            "Cible S3 avec verrou (conformité), ou copie hors ligne.",
            "S3 target with a compliance lock, or an offline copy.",
        )
        why = Text("Un dossier n'est pas un WORM : root l'efface.", "A folder is no WORM: root can delete it.")
        return unsatisfied(why, observed, declared, remedy)
    return satisfied(Text("Sauvegardes verrouillées.", "Backups are locked."), observed, declared)


_T = "tests/sabotage/test_tech_4.py::"
CHECKS = (
    Check(
        "tech-4.recent",
        Text("Dernière sauvegarde", "Last backup"),
        Text("La perte maximale est tenue", "The maximal loss is kept"),
        "measurements",
        _DAY_S,
        _T + "test_an_old_backup_is_red",
        recent,
        renew=same("hygie backup run"),
    ),
    Check(
        "tech-4.drill",
        Text("Exercice de restauration", "Restore drill"),
        Text("Une sauvegarde se restaure", "A backup restores"),
        "measurements",
        DRILL_DAYS_MAX * _DAY_S,
        _T + "test_a_failed_drill_is_red",
        drilled,
        renew=same("hygie drill restore"),
    ),
    Check(
        "tech-4.lock",
        Text("Verrou", "Lock"),
        Text("Nul ne peut l'effacer", "Nobody can delete it"),
        "target",
        MINUTES_S,
        _T + "test_a_folder_is_no_worm",
        locked,
        on_facts="satisfied: needs a locked target (S3), not built",
    ),
)
