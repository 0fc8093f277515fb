"""The database is thrown away, whole; one site and the keys bring everything back."""

from __future__ import annotations

from time import monotonic

from hygie.base.language import say
from hygie.demo.stage import Stage, check, differences
from hygie.demo.story import Proved
from hygie.proving import ProofPlane

SITE = "lille"  # the last of the default settings: neither the nearest, nor the one that went away


async def rebuild(stage: Stage) -> Proved:
    """Stop, delete PostgreSQL's folder, rebuild from one site, serve again: the same records."""
    platform = stage.platform
    before = await stage.read_all()
    seq, digest = await platform.proof(lambda plane: plane.registers.head())
    stage.teller.note(say(fr="tout s'arrête, la base est supprimée", en="all stops, the database is deleted"))
    await platform.lose_database()
    began_s = monotonic()
    stage.teller.note(say(fr=f"reconstruction depuis {SITE}", en=f"rebuilding from {SITE}"))
    with platform.alone(SITE):
        found = await platform.rebuild(SITE)
    spent_s = monotonic() - began_s
    check(
        found.whole,
        fr=f"le site {SITE} n'a pas tout rendu",
        en=f"the site {SITE} did not give everything back",
    )
    stage.teller.note(say(fr="tout redémarre", en="everything starts again"))
    await platform.start()
    wrong = differences(before, await stage.read_all())
    check(not wrong, fr=f"{len(wrong)} dossiers diffèrent", en=f"{len(wrong)} records differ")
    kept = await platform.proof(lambda plane: _digest_of(plane, seq))
    check(
        kept == digest,
        fr="les registres repris ne sont pas ceux d'avant",
        en="the registers that came back are not those of before",
    )
    objects = sum(report.objects for report in found.environments.values())
    packs = sum(report.packs for report in found.environments.values())
    proved = Proved(
        facts={
            "site": SITE,
            "objects": objects,
            "packs": packs,
            "rebuild_s": round(spent_s, 3),
            "compared": len(before),
            "records": seq,
        }
    )
    proved.lines = [
        say(
            fr=f"Base de données supprimée, les autres sites absents : {objects} versions de {packs} lots reprises du"
            f" seul site {SITE} et des clés, en {spent_s:.1f} s, démarrage compris.",
            en=f"Database deleted, the other sites away: {objects} versions of {packs} packs taken back from the site"
            f" {SITE} and the keys alone, in {spent_s:.1f} s, start included.",
        ),
        say(
            fr=f"Clients, habilitations, jetons et les {seq} écritures des registres aussi : {len(before)} lectures"
            " comparées, toutes égales.",
            en=f"Clients, habilitations, tokens and the {seq} writes of the registers too: {len(before)} reads"
            " compared, all of them equal.",
        ),
    ]
    proved.commands = [f"hygie rebuild --from {SITE}"]
    return proved


def _digest_of(plane: ProofPlane, seq: int) -> bytes:
    """The digest of one write of the registers, which covers all those before it. Raises: RegisterTamperedError."""
    plane.registers.verify()
    return next((record.digest for record, _ in plane.registers.log() if record.seq == seq), b"")
