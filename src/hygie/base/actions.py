"""Every right of Hygie on one page. The same words are the journal's event names.

``resource:verb``, alphabetical inside each group.  Which role holds which is data: ``roles.toml``.
"""

from __future__ import annotations

from enum import StrEnum

# Classes of retention of journal entries, in the order of their codes in a leaf: each has a key of its own a month.
KINDS = ("access", "administration", "security", "platform", "evidence")


class Action(StrEnum):
    """One thing a person or a program may be entitled to do."""

    # health data, through the vault
    OBJECT_COPY = "object:copy"
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
    ACCOUNT_RECOVER = "account:recover"
    AUTHENTICATOR_CREATE = "authenticator:create"
    AUTHENTICATOR_REVOKE = "authenticator:revoke"
    AVAILABILITY_CANCEL = "availability:cancel"
    AVAILABILITY_DECLARE = "availability:declare"
    AVAILABILITY_IMPORT = "availability:import"
    BACKUP_RESTORE = "backup:restore"
    BACKUP_RUN = "backup:run"
    CANARY_PLANT = "canary:plant"
    CHECK_RUN = "check:run"
    CLIENT_KEY_CREATE = "client-key:create"
    CLIENT_KEY_REVOKE = "client-key:revoke"
    COUNTRY_REMOVE = "country:remove"
    COUNTRY_SET = "country:set"
    DOSSIER_EXPORT = "dossier:export"
    DRILL_RUN = "drill:run"
    ENVIRONMENT_CREATE = "environment:create"
    ENVIRONMENT_DESTROY = "environment:destroy"
    FEED_IMPORT = "feed:import"
    FINDING_HANDLE = "finding:handle"
    HABILITATION_GRANT = "habilitation:grant"
    HABILITATION_RESUME = "habilitation:resume"
    HABILITATION_REVOKE = "habilitation:revoke"
    HABILITATION_SUSPEND = "habilitation:suspend"
    HARDENING_DECLARE = "hardening:declare"
    HARDENING_IMPORT = "hardening:import"
    INCIDENT_HANDLE = "incident:handle"
    INTERVENTION_CERTIFY = "intervention:certify"
    INTERVENTION_IDENTIFY = "intervention:identify"
    INTERVENTION_RECORD = "intervention:record"
    INTERVENTION_REPLAY = "intervention:replay"
    KEY_ROTATE = "key:rotate"
    LIMIT_REMOVE = "limit:remove"
    LIMIT_SET = "limit:set"
    NETWORK_ADD = "network:add"
    NETWORK_REMOVE = "network:remove"
    PLATFORM_START = "platform:start"
    PLATFORM_UPGRADE = "platform:upgrade"
    REFERENTIAL_IMPORT = "referential:import"
    REGISTER_EXPORT = "register:export"
    REGISTER_WRITE = "register:write"
    RETENTION_SET = "retention:set"
    SITE_SCRUB = "site:scrub"
    STATUS_READ = "status:read"
    TENANT_CONSENT = "tenant:consent"
    TENANT_CREATE = "tenant:create"
    TENANT_DESTROY = "tenant:destroy"
    TOKEN_CREATE = "token:create"  # noqa: S105 (an action's name, not a secret)
    TOKEN_REVOKE = "token:revoke"  # noqa: S105
    VAULT_REBUILD = "vault:rebuild"

    # what takes two persons: asking, and the other one's answer by what is asked for
    APPROVAL_ASK = "approval:ask"
    APPROVAL_USE = "approval:use"
    APPROVAL_WITHDRAW = "approval:withdraw"
    BREAK_GLASS_OPEN = "break-glass:open"
    BREAK_GLASS_REVIEW = "break-glass:review"
    DESTRUCTION_APPROVE = "destruction:approve"
    ERASURE_APPROVE = "erasure:approve"
    EXPORT_APPROVE = "export:approve"
    HABILITATION_APPROVE = "habilitation:approve"
    HABILITATION_REVIEW = "habilitation:review"
    RETENTION_APPROVE = "retention:approve"
    RIGHT_RAISE = "right:raise"
    RIGHT_RAISE_APPROVE = "right:raise-approve"
    RIGHT_READ = "right:read"
    ROTATION_APPROVE = "rotation:approve"

    # written by the platform about itself: nobody is entitled to them
    CANARY_FOUND = "canary:found"
    FINDING_OPEN = "finding:open"
    FINDING_TELL = "finding:tell"
    KEY_ANCHOR = "key:anchor"
    RIGHT_REFUSED = "right:refused"

    # written by the journal about itself
    JOURNAL_EXPORT = "journal:export"
    JOURNAL_GAP = "journal:gap"
    JOURNAL_READ = "journal:read"

    # people who prove who they are: each sign-in, a lock after failures, and the third lock of a day
    PERSON_ALERT = "person:alert"
    PERSON_LOCK = "person:lock"
    PERSON_PROVE = "person:prove"

    # sessions: an application that proved itself, the end of its session, and a request without anyone behind it
    SESSION_CLOSE = "session:close"
    SESSION_OPEN = "session:open"
    SESSION_REFUSED = "session:refused"
