"""Write docs/reference/actions.md from the actions and roles. Run it after adding one."""

from __future__ import annotations

from pathlib import Path

from hygie.base.actions import Action
from hygie.base.roles import ACTIONS_OF_ROLE, ROLES, Role

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "actions.md"
HEAD = """\
# Actions and roles

Written by `tools/action_reference.py` from `hygie.base.actions` and `base/roles.toml`; do not edit by hand. The same
words are rights and the journal's event names. A habilitation grants one role in one environment, or on the platform
(`hygie`, `platform`) for the host's roles. There is no wildcard. In a trial, until two are named who could approve, the
host's operator grants alone.

## Roles

| role | name | whose | held at most | takes besides its holder | actions |
|---|---|---|---|---|---|
{roles}
## Actions

| action | meaning | roles that hold it |
|---|---|---|
"""
MEANING = {
    Action.OBJECT_COPY: "copy production, de-identified, into a test environment of the same client: the operator, on"
    " the order of a person who holds it in both",
    Action.OBJECT_CREATE: "write a new object",
    Action.OBJECT_DELETE: "delete an object; its history stays",
    Action.OBJECT_EXPORT: "take everything out of an environment: the operator, on the order of a person who holds it",
    Action.OBJECT_HISTORY: "list the versions of objects",
    Action.OBJECT_READ: "read an object, or one of its versions",
    Action.OBJECT_SEARCH: "search objects",
    Action.OBJECT_UPDATE: "write a new version of an object",
    Action.PATIENT_ERASE: "destroy the key of a patient's compartment, on a recorded instruction",
    Action.ACCOUNT_CREATE: "open an account",
    Action.ACCOUNT_DISABLE: "close an account",
    Action.ACCOUNT_RECOVER: "give a person who lost his authenticators new ones; two administrators prove themselves",
    Action.AUTHENTICATOR_CREATE: "register what a person proves himself with",
    Action.AUTHENTICATOR_REVOKE: "take it back, and end the sessions that it opened",
    Action.BACKUP_RESTORE: "restore a snapshot",
    Action.BACKUP_RUN: "take a snapshot",
    Action.CANARY_PLANT: "plant a canary record in an environment, with a token of its client",
    Action.CHECK_RUN: "keep the outcomes of an evaluation as evidence",
    Action.CLIENT_KEY_CREATE: "give an application one more way to prove itself",
    Action.CLIENT_KEY_REVOKE: "take one back, and end the sessions that it opened",
    Action.COUNTRY_REMOVE: "withdraw a list of countries or an exception",
    Action.COUNTRY_SET: "say from which countries a client's data may be reached, or make an exception",
    Action.DOSSIER_EXPORT: "write the dossier that an auditor checks alone",
    Action.DRILL_RUN: "run a drill in a sandbox",
    Action.ENVIRONMENT_CREATE: "create an environment of a tenant",
    Action.ENVIRONMENT_DESTROY: "destroy an environment with its keys",
    Action.INCIDENT_HANDLE: "prepare a notice of an incident, record who was told, keep its evidence",
    Action.FINDING_HANDLE: "acknowledge, assign, comment, close a finding, or make it an incident",
    Action.HABILITATION_GRANT: "grant a role to an account",
    Action.HABILITATION_RESUME: "take up a suspended habilitation again, once training and undertaking hold",
    Action.HABILITATION_REVOKE: "take a role back before its end date",
    Action.HABILITATION_SUSPEND: "suspend a habilitation: its holder's training or undertaking lapsed",
    Action.HARDENING_DECLARE: "accept the state of the machine as its baseline, or a point not kept until a date",
    Action.HARDENING_IMPORT: "take in a report of Lynis, OpenSCAP or sslyze",
    Action.INTERVENTION_CERTIFY: "get an SSH certificate for an approved intervention",
    Action.INTERVENTION_IDENTIFY: "learn the name behind a staff member's pseudonym, for a client who asks",
    Action.INTERVENTION_RECORD: "a session on a machine ended, and was matched with its intervention or not",
    Action.INTERVENTION_REPLAY: "look at the recording of a session",
    Action.KEY_ROTATE: "rotate a key or begin a new epoch",
    Action.LIMIT_REMOVE: "let the installation's own limit count again",
    Action.LIMIT_SET: "set how much an account, a client or an environment may use",
    Action.NETWORK_ADD: "declare in which country a network is",
    Action.NETWORK_REMOVE: "let the addresses of a network be looked up again",
    Action.PLATFORM_START: "the platform started, or its working process again",
    Action.PLATFORM_UPGRADE: "upgrade the platform, or go back",
    Action.FEED_IMPORT: "bring a vulnerability feed",
    Action.REFERENTIAL_IMPORT: "add a référentiel to those of the installation",
    Action.REGISTER_EXPORT: "take a register out as a file",
    Action.REGISTER_WRITE: "add versions of records to registers",
    Action.AVAILABILITY_CANCEL: "withdraw a planned window before it begins",
    Action.AVAILABILITY_DECLARE: "declare a planned window, whose minutes are not counted",
    Action.AVAILABILITY_IMPORT: "take in what an outside probe measured",
    Action.RETENTION_SET: "put a longer retention of the settings in force, or a shorter one that two persons want",
    Action.SITE_SCRUB: "re-read and re-hash what sites hold, repair from a good copy",
    Action.STATUS_READ: "read the state of the obligations",
    Action.TENANT_CONSENT: "record a client's consent to the destruction of what it verified it got back",
    Action.TENANT_CREATE: "register a client",
    Action.TENANT_DESTROY: "destroy all of a client's data and keys, on its recorded consent",
    Action.TOKEN_CREATE: "issue a bearer token",
    Action.TOKEN_REVOKE: "revoke a bearer token",
    Action.VAULT_REBUILD: "rebuild the catalogue from one site and the keys",
    Action.APPROVAL_ASK: "ask for what takes two persons; a habilitation, when nothing else is said",
    Action.APPROVAL_USE: "an approval was used up by its act, or its act could not be done",
    Action.APPROVAL_WITHDRAW: "withdraw one's own request",
    Action.BREAK_GLASS_OPEN: "open one patient's record outside one's sets, for a motive and an hour at most",
    Action.BREAK_GLASS_REVIEW: "say whether another's opening was justified",
    Action.DESTRUCTION_APPROVE: "answer a request to destroy a client's data and keys",
    Action.ERASURE_APPROVE: "answer a request to erase a patient, naming him again",
    Action.EXPORT_APPROVE: "answer a request for a bulk export to named keys",
    Action.HABILITATION_APPROVE: "answer a request for a habilitation",
    Action.HABILITATION_REVIEW: "open a campaign of reviews, decide on each right of a place in it",
    Action.RETENTION_APPROVE: "answer a request to shorten a retention",
    Action.RIGHT_RAISE: "ask for one's rights of operations, for a ticket and a time",
    Action.RIGHT_RAISE_APPROVE: "answer such a request, or answer for an emergency after it",
    Action.RIGHT_READ: "list the habilitations of a place",
    Action.ROTATION_APPROVE: "answer a request to rotate a key out of its time",
    Action.FINDING_OPEN: "a rule of the watch spoke; held by no role",
    Action.FINDING_TELL: "somebody was told of a finding by a channel, or could not be; held by no role",
    Action.CANARY_FOUND: "a value of a canary record was found where no record may be readable; held by no role",
    Action.KEY_ANCHOR: "the head of the KMS's key record, or that the record no longer holds it; held by no role",
    Action.RIGHT_REFUSED: "rows of rights written without Hygie were passed over; held by no role",
    Action.JOURNAL_EXPORT: "export entries with their proofs",
    Action.JOURNAL_GAP: "what the journal may miss after a loss of the database; written by the journal itself",
    Action.JOURNAL_READ: "read entries",
    Action.PERSON_ALERT: "sign-ins were locked for the third time this day; held by no role",
    Action.PERSON_LOCK: "sign-ins were locked after failures; held by no role",
    Action.PERSON_PROVE: "a person proved who he is, or did not; held by no role",
    Action.SESSION_CLOSE: "an application ended its session before its time; held by no role",
    Action.SESSION_OPEN: "an application proved itself and got an access token; held by no role",
    Action.SESSION_REFUSED: "a request without anyone behind it was refused; held by no role",
}


def page() -> str:
    """The Markdown page.

    Raises: KeyError: an action without its meaning here.
    """
    rows, cards = [], []
    for role, card in ROLES.items():
        given = ", ".join(f"`{action}`" for action in Action if action in card.actions)
        besides = "two persons" if card.sensitive else "one person, who approves"
        cards.append(f"| `{role}` | {card.fr}, *{card.en}* | {card.side} | {card.days} d | {besides} | {given} |\n")
    for action in Action:
        roles = ", ".join(role for role in Role if action in ACTIONS_OF_ROLE[role]) or "none"
        rows.append(f"| `{action}` | {MEANING[action]} | {roles} |\n")
    return HEAD.replace("{roles}", "".join(cards)) + "".join(rows)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
