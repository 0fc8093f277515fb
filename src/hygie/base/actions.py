"""Every right of Hygie on one page. The same words are the journal's event names.

``resource:verb``, alphabetical inside each group.  Roles are sets of actions; there is no wildcard.
"""

from __future__ import annotations

from enum import StrEnum

# Classes of retention of journal entries, in the order of their codes in a leaf: each has a key of its own a month.
KINDS = ("access", "administration", "security", "platform", "evidence")


class Action(StrEnum):
    """One thing a person or a program may be entitled to do."""

    # health data, through the vault
    OBJECT_CREATE = "object:create"
    OBJECT_DELETE = "object:delete"
    OBJECT_EXPORT = "object:export"
    OBJECT_HISTORY = "object:history"
    OBJECT_READ = "object:read"
    OBJECT_SEARCH = "object:search"
    OBJECT_UPDATE = "object:update"
    PATIENT_ERASE = "patient:erase"

    # administration
    ACCOUNT_CREATE = "account:create"
    ACCOUNT_DISABLE = "account:disable"
    BACKUP_RESTORE = "backup:restore"
    BACKUP_RUN = "backup:run"
    CHECK_RUN = "check:run"
    CLIENT_KEY_CREATE = "client-key:create"
    CLIENT_KEY_REVOKE = "client-key:revoke"
    DOSSIER_EXPORT = "dossier:export"
    DRILL_RUN = "drill:run"
    ENVIRONMENT_CREATE = "environment:create"
    ENVIRONMENT_DESTROY = "environment:destroy"
    HABILITATION_GRANT = "habilitation:grant"
    HABILITATION_RESUME = "habilitation:resume"
    HABILITATION_REVOKE = "habilitation:revoke"
    HABILITATION_SUSPEND = "habilitation:suspend"
    INTERVENTION_CERTIFY = "intervention:certify"
    INTERVENTION_IDENTIFY = "intervention:identify"
    INTERVENTION_RECORD = "intervention:record"
    INTERVENTION_REPLAY = "intervention:replay"
    KEY_ROTATE = "key:rotate"
    PLATFORM_START = "platform:start"
    PLATFORM_UPGRADE = "platform:upgrade"
    REFERENTIAL_IMPORT = "referential:import"
    REGISTER_EXPORT = "register:export"
    REGISTER_WRITE = "register:write"
    SITE_SCRUB = "site:scrub"
    STATUS_READ = "status:read"
    TENANT_CONSENT = "tenant:consent"
    TENANT_CREATE = "tenant:create"
    TENANT_DESTROY = "tenant:destroy"
    TOKEN_CREATE = "token:create"  # noqa: S105 (an action's name, not a secret)
    TOKEN_REVOKE = "token:revoke"  # noqa: S105
    VAULT_REBUILD = "vault:rebuild"

    # written by the platform about itself: nobody is entitled to them
    KEY_ANCHOR = "key:anchor"
    RIGHT_REFUSED = "right:refused"

    # written by the journal about itself
    JOURNAL_EXPORT = "journal:export"
    JOURNAL_GAP = "journal:gap"
    JOURNAL_READ = "journal:read"

    # sessions: an application that proved itself, the end of its session, and a request without anyone behind it
    SESSION_CLOSE = "session:close"
    SESSION_OPEN = "session:open"
    SESSION_REFUSED = "session:refused"


class Role(StrEnum):
    """A habilitation grants one role in one environment (or on the platform)."""

    APPLICATION = "application"
    CAREGIVER = "caregiver"
    READER = "reader"
    PRIVACY_OFFICER = "privacy-officer"
    OPERATOR = "operator"


_READS = frozenset({Action.OBJECT_READ, Action.OBJECT_SEARCH, Action.OBJECT_HISTORY})
_WRITES = frozenset({Action.OBJECT_CREATE, Action.OBJECT_UPDATE, Action.OBJECT_DELETE})

ACTIONS_OF_ROLE: dict[Role, frozenset[Action]] = {
    Role.APPLICATION: _READS | _WRITES | {Action.OBJECT_EXPORT},
    Role.CAREGIVER: _READS | _WRITES,
    Role.READER: _READS,
    Role.PRIVACY_OFFICER: frozenset(
        {Action.PATIENT_ERASE, Action.OBJECT_EXPORT, Action.JOURNAL_READ, Action.JOURNAL_EXPORT}
    ),
    Role.OPERATOR: frozenset(Action)
    - _READS
    - _WRITES
    - {Action.OBJECT_EXPORT, Action.PATIENT_ERASE}
    - {Action.SESSION_OPEN, Action.SESSION_CLOSE, Action.SESSION_REFUSED}
    - {Action.KEY_ANCHOR, Action.RIGHT_REFUSED},
}
