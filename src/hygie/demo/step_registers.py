"""The registers: what an imaginary host wrote down is loaded, and what may not be written is refused."""

from __future__ import annotations

from datetime import date

from hygie.base.civil import paris_date
from hygie.base.errors import HygieError
from hygie.base.language import say
from hygie.demo.books import APPROVER, changes_on
from hygie.demo.stage import Stage, check
from hygie.demo.story import Proved
from hygie.proving import ProofPlane
from hygie.registers.engine import Asked, Registers
from hygie.registers.errors import PatientNamedError, RecordInvalidError
from hygie.registers.rules import Change
from hygie.synthetic.patients import identity

WAITING = "CHG-0006"  # a patch that would degrade the service: its client has not agreed yet


async def registers(stage: Stage) -> Proved:
    """Load the records in one write, then try three that no register may take."""

    def act(plane: ProofPlane) -> tuple[int, int, int, list[str]]:
        books, today = plane.registers, paris_date(plane.registers.clock.now_ms())
        written = len(books.write(changes_on(books, today)))
        held = [sum(1 for _ in books.current(Asked(name))) for name in books.schemas]
        return written, sum(held), sum(map(bool, held)), refused(books, today)

    written, records, used, codes = await stage.platform.proof(act)
    proved = Proved(facts={"written": written, "records": records, "registers": used, "refused": codes})
    new = say(fr="" if written else ", déjà là", en="" if written else ", there already")
    proved.lines = [
        say(
            fr=f"{records} fiches d'un hébergeur imaginaire dans {used} registres{new} : certificats, contrats,"
            " personnes, risques, exercices… Une écriture, tout ou rien, chaînée et journalisée.",
            en=f"{records} records of an imaginary host in {used} registers{new}: certificates, contracts, people,"
            " risks, drills… One write, all or nothing, chained and journaled.",
        ),
        say(
            fr=f"Refusés, sans rien écrire : un correctif qui dégrade le service avant l'accord du client ({WAITING}),"
            " un certificat qui expire avant d'être délivré, un INS dans une fiche.",
            en=f"Refused, nothing written: a patch that degrades the service before the client agrees ({WAITING}), a"
            " certificate that expires before its issue, an INS in a record.",
        ),
    ]
    proved.commands = ["hygie register list", f"hygie register show change {WAITING}"]
    return proved


def refused(books: Registers, today: date) -> list[str]:
    """The codes of what is refused. Blocks. Raises: DemoStepError: one is taken, or leaves something behind."""
    certificate = {"expires_on": date(today.year - 9, 1, 1).isoformat()}
    tries: tuple[tuple[Change, type[HygieError]], ...] = (
        (Change("change", {}, WAITING, "approved", approver=APPROVER), RecordInvalidError),
        (Change("certificate", certificate, "HDS-0001", approver=APPROVER), RecordInvalidError),
        (Change("change", {"check": identity(0).ins}, WAITING), PatientNamedError),
    )
    # Of these records, not of all: hygie work writes what falls due meanwhile.
    tried = sorted({(change.register, change.key) for change, _ in tries})
    before = [books.history(*one) for one in tried]
    codes = [_refusal(books, change, expected) for change, expected in tries]
    left = [books.history(*one) for one in tried]
    check(left == before, fr="un refus a laissé une écriture", en="a refusal left a write behind")
    return codes


def _refusal(books: Registers, change: Change, expected: type[HygieError]) -> str:
    try:
        books.write([change])
    except expected as error:
        return error.code
    check(False, fr="un registre accepte ce qu'il doit refuser", en="a register takes what it must refuse")
    raise AssertionError("unreachable")
