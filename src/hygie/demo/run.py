"""The whole story, in order."""

from __future__ import annotations

from hygie.base.language import say
from hygie.demo import (
    step_backup,
    step_dossier,
    step_drills,
    step_erase,
    step_journal,
    step_leaver,
    step_posture,
    step_publish,
    step_rebuild,
    step_registers,
    step_serve,
    step_sites,
    step_status,
)
from hygie.demo.stage import Stage
from hygie.demo.story import Facts, Step, Teller, tell


def steps() -> list[Step[Stage]]:
    """Titles in the person's language."""
    one = step_serve
    return [
        Step("start", say(fr="Tout démarre", en="Everything starts"), one.start),
        Step("people", say(fr="Un client et ses habilitations", en="A client and its habilitations"), one.people),
        Step(
            "registers",
            say(fr="Ce qu'un hébergeur consigne", en="What a host writes down"),
            step_registers.registers,
        ),
        Step("load", say(fr="Des dossiers entrent par FHIR", en="Records come in through FHIR"), one.load),
        Step("doors", say(fr="Qui peut lire, qui est refusé", en="Who may read, who is refused"), one.doors),
        Step("plaintext", say(fr="Rien n'est en clair sur disque", en="Nothing is in clear on disk"), one.plaintext),
        Step(
            "absence", say(fr="Un site disparaît et revient", en="A site vanishes and comes back"), step_sites.absence
        ),
        Step("scrub", say(fr="Un octet change", en="One byte changes"), step_sites.flipped_byte),
        Step(
            "backup", say(fr="Sauvegarde, restauration ailleurs", en="Backup, restored elsewhere"), step_backup.backup
        ),
        Step(
            "rebuild",
            say(fr="La base jetée, refaite d'un site", en="Database lost, rebuilt from one site"),
            step_rebuild.rebuild,
        ),
        Step("erase", say(fr="Un patient est effacé partout", en="A patient is erased everywhere"), step_erase.erase),
        Step("drills", say(fr="Des exercices, mesurés", en="Drills, measured"), step_drills.drills),
        Step("journal", say(fr="Le journal ne se retouche pas", en="Nobody edits the journal"), step_journal.journal),
        Step("publications", say(fr="Ce que d'autres lisent", en="What others read"), step_publish.publications),
        Step("plaintext-again", say(fr="Toujours rien en clair", en="Still nothing in clear"), one.plaintext),
        Step("status", say(fr="Où en est cette installation", en="Where this installation stands"), step_status.status),
        Step(
            "leaver",
            say(fr="Un départ ferme les accès le jour même", en="A departure closes access the same day"),
            step_leaver.leaver,
        ),
        Step("posture", say(fr="Exigence par exigence", en="Requirement by requirement"), step_posture.posture),
        Step("dossier", say(fr="Le dossier de l'auditeur", en="The auditor's dossier"), step_dossier.dossier),
    ]


async def run(stage: Stage, teller: Teller) -> list[Facts]:
    """Tell the story from its beginning; what was started keeps running at the end.

    Raises: DemoStepError, PlaintextFoundError, DemoLateError: Hygie did not do what it promises; HygieError.
    """
    return await tell(steps(), stage, teller)
