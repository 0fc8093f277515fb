"""A departure: the end date that somebody writes in a register closes the account, its rights and its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from time import monotonic

from hygie.app import House, open_administration, open_house
from hygie.base.civil import paris_date
from hygie.base.errors import HygieError
from hygie.base.language import say
from hygie.base.roles import Role
from hygie.demo.books import APPROVER as DIRECTOR
from hygie.demo.books import kept
from hygie.demo.client import Answer
from hygie.demo.people import APPROVER, DEMONSTRATION, STORY_TOKEN_DAYS, TENANT
from hygie.demo.platform import OPERATOR
from hygie.demo.stage import Stage, check, wait_until
from hygie.demo.step_status import MARKS
from hygie.demo.story import Proved, Table
from hygie.effects import EFFECTS_EVERY_S, Effects
from hygie.evaluation import Evaluator
from hygie.proof.cross.model import cards
from hygie.proof.evidence import EvidenceLog
from hygie.proof.model import Verdict
from hygie.proving import ProofPlane, with_proof
from hygie.registers.engine import Registers
from hygie.registers.rules import Change

NAME = "leo.bernard"
WATCHED = ("cross.leaver-account", "cross.leaver-rights", "cross.account-known")
CONTRACT_DAYS = 30
REFUSED = 401
Verdicts = Mapping[str, Verdict]


async def leaver(stage: Stage) -> Proved:
    """A locum nurse reads; his end date is written; nobody opens to him any more, and the posture says each turn."""
    async with open_house(stage.platform.folder.path) as house:
        account, token, key = await _hired(house)
        id_ = stage.patients[0]
        reads = await _read(stage, token, id_)
        check(
            reads.status == 200,
            fr=f"l'infirmier habilité reçoit {reads.status} {reads.code}",
            en=f"the habilitated nurse is answered {reads.status} {reads.code}",
        )
        stage.teller.note(say(fr="évaluation de tous les contrôles", en="evaluation of every check"))
        evaluator = Evaluator(house, OPERATOR)
        before = await _judged(house, evaluator)
        began_s = monotonic()
        await with_proof(house, OPERATOR, lambda plane: _leaves(plane, key))
        leaving = await _judged(house, evaluator)
        closed_already = (await _read(stage, token, id_)).status == REFUSED
        check(
            closed_already or leaving[WATCHED[0]] is Verdict.UNSATISFIED,
            fr="un compte reste ouvert après un départ et la posture ne le dit pas",
            en="an account stays open after a departure and the posture does not say so",
        )
        try:
            await Effects(house, OPERATOR).run()
        except HygieError:
            stage.teller.note(say(fr="hygie work s'en charge déjà", en="hygie work is at it already"))
        await wait_until(
            say(fr="la fermeture du compte", en="the account to close"),
            lambda: _refused(stage, token, id_),
            seconds=2 * EFFECTS_EVERY_S,
        )
        spent_s = monotonic() - began_s
        after = await _judged(house, evaluator)
    left = [name for name in WATCHED if after[name] is not Verdict.SATISFIED]
    check(not left, fr=f"après le départ, rouge : {', '.join(left)}", en=f"red after the departure: {', '.join(left)}")
    return _proved(account, key, spent_s, [before, leaving, after])


async def _hired(house: House) -> tuple[str, str, str]:
    """A person, in the register first, then with an account and a right. Returns account, token and key."""
    async with open_administration(house, OPERATOR) as acts:
        earlier = sum(str(row["id"]).startswith(NAME) for row in await acts.listing("account"))
        account = f"{NAME}.{earlier + 1}" if earlier else NAME
        key = await with_proof(house, OPERATOR, lambda plane: _recorded(plane, account))
        label = say(fr="Léo Bernard, infirmier remplaçant", en="Léo Bernard, locum nurse")
        await acts.create_account(account, kind="person", label=label, professional_id="", days=CONTRACT_DAYS)
        reason = say(fr="remplacement", en="replacement")
        await acts.grant(
            *(account, TENANT, DEMONSTRATION),
            role=Role.CAREGIVER, reason=reason, approver=APPROVER, days=CONTRACT_DAYS,
        )  # fmt: skip
        _, token = await acts.create_token(account, TENANT, DEMONSTRATION, days=STORY_TOKEN_DAYS)
    return account, token, key


def _recorded(plane: ProofPlane, account: str) -> str:
    """The records that a right rests on: who he is, what he signed, learnt and read. Returns the person's key."""
    books, today = plane.registers, paris_date(plane.registers.clock.now_ms())
    day, later = today.isoformat(), date(today.year + 1, today.month, min(today.day, 28)).isoformat()
    person = {
        **{"name": "Léo Bernard", "employer": "CHU d'Exemple", "function": "Infirmier remplaçant", "account": account},
        **{"health_data_access": True, "background_checked_on": day, "starts_on": day, "authenticator_on": day},
        **{"authenticator": "Carte CPE", "identity_check": "Carte d'identité, en face à face"},
    }
    (written,) = books.write([Change("person", person)])
    key = written.key
    books.write(
        [
            Change("undertaking", _undertaking(books, key, day, later), state="signed"),
            Change("training-record", {"person": key, "session": "TRS-0001", "passed_on": day, "score": 88,
                                       "valid_until": later}, state="valid"),
            *[Change("policy-acknowledgement", {"policy": policy, "edition": edition, "person": key, "read_on": day,
                                                "means": "electronic"})
              for policy, edition in (("POL-0001", "5"), ("POL-0002", "3"))],
            Change("habilitation-review", {"campaign": "Arrivée", "account": account, "person": key,
                                           "role": Role.CAREGIVER.value, "privileged": False, "due_on": day,
                                           "reviewer": "PER-0001", "reviewed_on": day, "decision": "keep",
                                           "reason": "Arrivée", "executed_on": day}, state="executed",
                   approver=DIRECTOR),
        ]
    )  # fmt: skip
    return key


def _undertaking(books: Registers, key: str, day: str, later: str) -> dict[str, object]:
    return {
        **{"person": key, "kind": "professional-secrecy", "edition": "2", "asked_on": day, "signed_on": day},
        **{"document": kept(books, f"engagement-{key}.txt"), "lasting": True, "review_on": later},
    }


def _leaves(plane: ProofPlane, key: str) -> None:
    """What human resources write, and nothing more."""
    today = paris_date(plane.registers.clock.now_ms()).isoformat()
    plane.registers.write([Change("person", {"ends_on": today, "returned_on": today}, key)])


async def _judged(house: House, evaluator: Evaluator) -> Verdicts:
    """Every check evaluated and kept; what the watched ones say."""
    await evaluator.run("demonstration")

    def act(plane: ProofPlane) -> Verdicts:
        evidence: EvidenceLog = plane.evidence
        runs = evidence.known().runs
        return {name: runs[name].verdict for name in WATCHED}

    return await with_proof(house, OPERATOR, act)


async def _read(stage: Stage, token: str, id_: str) -> Answer:
    return await stage.ask_with(token, lambda client: client.get(f"Patient/{id_}"))


def _refused(stage: Stage, token: str, id_: str) -> bool:
    with stage.client_with(token) as client:
        return client.get(f"Patient/{id_}").status == REFUSED


def _proved(account: str, key: str, spent_s: float, turns: list[Verdicts]) -> Proved:
    verdicts = {name: [turn[name].value for turn in turns] for name in WATCHED}
    proved = Proved(facts={"account": account, "person": key, "closed_s": round(spent_s, 3), "verdicts": verdicts})
    proved.lines = [
        say(
            fr=f"Léo Bernard, infirmier remplaçant, lit un dossier. Sa date de fin est inscrite au registre ({key}) :"
            f" {spent_s:.1f} s plus tard son compte, ses droits et ses jetons sont fermés, la même lecture reçoit"
            f" {REFUSED}.",
            en=f"Léo Bernard, a locum nurse, reads a record. His end date is written in the register ({key}):"
            f" {spent_s:.1f} s later his account, rights and tokens are closed, the same read is answered {REFUSED}.",
        ),
        say(
            fr=f"hygie work le fait de lui-même toutes les {EFFECTS_EVERY_S:.0f} s ; ici aussitôt."
            " Ce que la posture en disait :",
            en=f"hygie work does so by itself every {EFFECTS_EVERY_S:.0f} s; here at once. What the posture said:",
        ),
    ]
    proved.table = Table(
        (
            say(fr="contrôle", en="check"),
            say(fr="avant", en="before"),
            say(fr="date inscrite", en="date written"),
            say(fr="fermé", en="closed"),
        ),
        tuple((cards()[name].title.said(), *(MARKS[value] for value in verdicts[name])) for name in WATCHED),
    )
    proved.commands = [
        f"hygie register amend person {key} ends_on=…",
        "hygie posture EXI-10.1 --watch",
    ]
    return proved
