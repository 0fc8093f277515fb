-- What the watch follows and finds. A role of its own: it reads what it looks at, adds to its own tables and to the journal,
-- and reaches no ciphertext of a vault, no wrapped key, no right.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hygie_watch') THEN
        CREATE ROLE hygie_watch LOGIN NOINHERIT NOCREATEDB NOCREATEROLE CONNECTION LIMIT -1;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO hygie_watch', current_database());
END
$$;
GRANT USAGE ON SCHEMA hygie TO hygie_watch;

-- How far each source was followed, and when it last said something.
CREATE TABLE hygie.watch_cursor (
    source   text   PRIMARY KEY CHECK (length(source) BETWEEN 1 AND 100),
    position bigint NOT NULL CHECK (position >= 0),
    at_ms    bigint NOT NULL
);

-- What rules remember of their groups, written with the cursor: a watch that is killed neither forgets nor counts twice.
CREATE TABLE hygie.watch_state (
    rule       text   NOT NULL,
    grouping   text   NOT NULL,
    state      jsonb  NOT NULL,
    touched_ms bigint NOT NULL,
    PRIMARY KEY (rule, grouping)
);

-- Findings: what a rule said, for one group, from the first time until somebody decides. No health data: pseudonyms at most.
CREATE TABLE hygie.finding (
    id          text   PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    rule        text   NOT NULL,
    title       text   NOT NULL CHECK (length(title) <= 256),
    level       text   NOT NULL CHECK (level IN ('informational', 'low', 'medium', 'high', 'critical')),
    grouping    text   NOT NULL CHECK (length(grouping) <= 5000),
    tenant      bytea  NOT NULL CHECK (length(tenant) = 16),
    environment bytea  NOT NULL CHECK (length(environment) = 16),
    first_ms    bigint NOT NULL,
    last_ms     bigint NOT NULL,
    opened_ms   bigint NOT NULL,
    count       bigint NOT NULL CHECK (count > 0),
    state       text   NOT NULL CHECK (state IN ('open', 'acknowledged', 'incident', 'closed')),
    owner       text   NOT NULL DEFAULT '',
    incident    text   NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX finding_live ON hygie.finding (rule, grouping) WHERE state <> 'closed';
CREATE INDEX finding_state ON hygie.finding (state, opened_ms);

-- What was done about a finding; rows are only added.
CREATE TABLE hygie.finding_act (
    finding text    NOT NULL REFERENCES hygie.finding (id),
    seq     integer NOT NULL,
    at_ms   bigint  NOT NULL,
    kind    text    NOT NULL CHECK (kind IN ('opened', 'acknowledged', 'assigned', 'noted', 'incident', 'closed', 'reopened')),
    who     text    NOT NULL,
    words   text    NOT NULL CHECK (length(words) <= 2000),
    PRIMARY KEY (finding, seq)
);

-- The events that a finding names: their place in their source, and the digest of what stood there.
CREATE TABLE hygie.finding_evidence (
    finding text   NOT NULL REFERENCES hygie.finding (id),
    source  text   NOT NULL,
    rank    bigint NOT NULL,
    at_ms   bigint NOT NULL,
    digest  bytea  NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (finding, source, rank)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON hygie.watch_cursor, hygie.watch_state TO hygie_watch;
GRANT SELECT, INSERT ON hygie.finding, hygie.finding_act, hygie.finding_evidence TO hygie_watch;
GRANT UPDATE (last_ms, count, state, owner, incident) ON hygie.finding TO hygie_watch;
GRANT SELECT ON hygie.journal_entry, hygie.journal_head, hygie.tenant, hygie.environment TO hygie_watch;
GRANT INSERT (leaf) ON hygie.journal_pending TO hygie_watch;
GRANT SELECT, INSERT ON hygie.measurement TO hygie_watch;
GRANT SELECT (id, kind, label, professional_id, state, tenant, created_ms, ends_ms) ON hygie.account TO hygie_watch;
GRANT USAGE ON SCHEMA hygie_proof TO hygie_watch;
GRANT SELECT (batch, place, check_id, at_ms, verdict, evidence) ON hygie_proof.run TO hygie_watch;
GRANT SELECT ON hygie.finding, hygie.finding_act, hygie.finding_evidence, hygie.watch_cursor TO hygie_console, hygie_sealer;
