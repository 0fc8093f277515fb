-- The proof plane: registers and evidence, as logs to which one only adds. No ciphertext, no wrapped key, no way to the KMS.
-- Each log is a chain: a row's digest covers the one before it, and the journal holds the heads.
-- Their Django models are in hygie.registers.models and hygie.proof.models; tests hold models and tables together.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hygie_console') THEN
        CREATE ROLE hygie_console LOGIN NOINHERIT NOCREATEDB NOCREATEROLE CONNECTION LIMIT -1;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO hygie_console', current_database());
END
$$;

CREATE SCHEMA hygie_proof;
REVOKE ALL ON SCHEMA hygie_proof FROM PUBLIC;
GRANT USAGE ON SCHEMA hygie_proof TO hygie_console;

-- Where each log ends. Whoever adds to a log holds its row: one writer at a time, no gap in the numbers.
CREATE TABLE hygie_proof.head (
    log    text   PRIMARY KEY CHECK (log IN ('records', 'batches')),
    seq    bigint NOT NULL CHECK (seq >= 0),
    at_ms  bigint NOT NULL,
    digest bytea  NOT NULL CHECK (octet_length(digest) = 32)
);
INSERT INTO hygie_proof.head VALUES
    ('records', 0, 0, decode(repeat('00', 32), 'hex')), ('batches', 0, 0, decode(repeat('00', 32), 'hex'));

-- One row a version of one record of one register. at_ms never goes back, whatever the clock does.
CREATE TABLE hygie_proof.record (
    seq      bigint  PRIMARY KEY CHECK (seq > 0),
    register text    NOT NULL CHECK (register ~ '^[a-z][a-z0-9-]{0,62}$'),
    key      text    NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
    version  integer NOT NULL CHECK (version > 0),
    at_ms    bigint  NOT NULL,
    author   text    NOT NULL CHECK (author <> ''),
    approver text    NOT NULL,
    tenant   text    NOT NULL,
    state    text    NOT NULL,
    reason   text    NOT NULL,
    body     text    NOT NULL,
    digest   bytea   NOT NULL CHECK (octet_length(digest) = 32),
    UNIQUE (register, key, version)
);
CREATE INDEX record_register ON hygie_proof.record (register, seq);

-- Files that records name, by their SHA-256: policies, certificates, minutes. None about a patient: those go to the vault.
CREATE TABLE hygie_proof.document (
    sha256     bytea  PRIMARY KEY CHECK (octet_length(sha256) = 32),
    name       text   NOT NULL,
    media_type text   NOT NULL,
    at_ms      bigint NOT NULL,
    content    bytea  NOT NULL CHECK (octet_length(content) <= 26214400)
);
ALTER TABLE hygie_proof.document ALTER COLUMN content SET STORAGE EXTERNAL;

-- What was checked against what, then: controls, obligations and requirements as one JSON text, by its SHA-256.
CREATE TABLE hygie_proof.catalogue (
    sha256 bytea  PRIMARY KEY CHECK (octet_length(sha256) = 32),
    at_ms  bigint NOT NULL,
    body   text   NOT NULL
);

-- One evaluation, and its runs: the outcome of one check each. digest covers the batch before, and every run.
-- mode: of the installation, then: what a trial shows is no evidence of production.
CREATE TABLE hygie_proof.batch (
    seq       bigint  PRIMARY KEY CHECK (seq > 0),
    at_ms     bigint  NOT NULL,
    cause     text    NOT NULL,
    mode      text    NOT NULL CHECK (mode IN ('production', 'trial')),
    count     integer NOT NULL CHECK (count >= 0),
    catalogue bytea   NOT NULL REFERENCES hygie_proof.catalogue (sha256),
    digest    bytea   NOT NULL CHECK (octet_length(digest) = 32)
);
CREATE INDEX batch_at ON hygie_proof.batch (at_ms, seq);

-- body: JSON of the outcome, keys sorted; the other columns say again what it says, to be searched.
-- since_ms: of the first run of its check with the same verdict, without another one between.
CREATE TABLE hygie_proof.run (
    batch          bigint  NOT NULL REFERENCES hygie_proof.batch (seq),
    place          integer NOT NULL CHECK (place >= 0),
    check_id       text    NOT NULL,
    at_ms          bigint  NOT NULL,
    fresh_until_ms bigint  NOT NULL,
    since_ms       bigint  NOT NULL,
    verdict        text    NOT NULL CHECK (verdict IN ('satisfied', 'unsatisfied', 'unknown', 'not_applicable')),
    evidence       text    NOT NULL CHECK (evidence IN ('measured', 'attested', 'external', 'declared')),
    body           text    NOT NULL,
    PRIMARY KEY (batch, place)
);
CREATE INDEX run_check ON hygie_proof.run (check_id, batch DESC);

GRANT SELECT, INSERT ON hygie_proof.record, hygie_proof.document, hygie_proof.catalogue, hygie_proof.batch,
    hygie_proof.run TO hygie_console;
GRANT SELECT ON hygie_proof.head TO hygie_console;
GRANT UPDATE (seq, at_ms, digest) ON hygie_proof.head TO hygie_console;

-- What the proof plane journals, in the transaction of what it adds; and what it may see of the hosting plane.
GRANT USAGE ON SCHEMA hygie TO hygie_console;
GRANT INSERT (leaf) ON hygie.journal_pending TO hygie_console;
GRANT SELECT ON hygie.tenant, hygie.environment, hygie.measurement TO hygie_console;
GRANT SELECT (id, kind, label, professional_id, state, created_ms, ends_ms) ON hygie.account TO hygie_console;
GRANT SELECT (id, account, environment, role, reason, approver, starts_ms, ends_ms, revoked_ms, revoked_by)
    ON hygie.habilitation TO hygie_console;
GRANT SELECT (id, account, environment, created_ms, expires_ms, revoked_ms) ON hygie.token TO hygie_console;
GRANT SELECT (id, environment, requested_ms, unreadable_ms, purged_ms, final_ms) ON hygie.erasure TO hygie_console;
