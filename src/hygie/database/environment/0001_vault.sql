-- One environment's catalogue. Applied with the environment's schema as search_path, owned by hygie_owner.
-- No plaintext: ids and searched values are blind tokens, keys are wrapped, bodies are on the sites.

CREATE SEQUENCE pack_number;

-- A pack exists for the catalogue once its row is committed: the settling of a lost COMMIT looks here.
CREATE TABLE pack (
    number  bigint PRIMARY KEY,
    sha256  bytea  NOT NULL,
    bytes   bigint NOT NULL,
    objects integer NOT NULL,
    at_ms   bigint NOT NULL
);
CREATE INDEX pack_at ON pack (at_ms);

-- kind: 0 environment, 1 one patient, 2 several patients. state: 0 live, 1 erased (wrap is then null).
CREATE TABLE compartment (
    id        bytea PRIMARY KEY,
    kind      smallint NOT NULL,
    subject   bytea NOT NULL,
    epoch     integer NOT NULL,
    wrap      bytea,
    state     smallint NOT NULL DEFAULT 0,
    pack      bigint NOT NULL,
    erased_ms bigint,
    purged_ms bigint,
    CHECK ((state = 0) = (wrap IS NOT NULL))
);
CREATE UNIQUE INDEX compartment_live ON compartment (subject) WHERE state = 0;

-- The patients of a compartment of several.
CREATE TABLE compartment_member (
    compartment bytea NOT NULL REFERENCES compartment (id),
    subject     bytea NOT NULL,
    PRIMARY KEY (subject, compartment)
);

-- seq = pack number * 2^20 + rank in the pack: where the object is, and the order in which it came.
CREATE TABLE object (
    id          bytea    NOT NULL,
    version     integer  NOT NULL,
    type        integer  NOT NULL,
    compartment bytea    NOT NULL,
    seq         bigint   NOT NULL,
    start       integer  NOT NULL,
    length      integer  NOT NULL,
    at_ms       bigint   NOT NULL,
    current     boolean  NOT NULL,
    deleted     boolean  NOT NULL,
    tokens      bigint[],
    PRIMARY KEY (id, version)
);
CREATE INDEX object_tokens ON object USING gin (tokens) WITH (fastupdate = on, gin_pending_list_limit = 512);
CREATE INDEX object_type ON object (type, seq);
CREATE INDEX object_compartment ON object (compartment, seq);
ALTER TABLE object ALTER COLUMN tokens SET STATISTICS 1000;
ALTER TABLE object ALTER COLUMN tokens SET STORAGE EXTERNAL;

-- Contents too large for a pack, in sealed chunks of their own on the sites.
CREATE TABLE blob_chunk (
    blob    bytea   NOT NULL,
    number  integer NOT NULL,
    sha256  bytea   NOT NULL,
    bytes   bigint  NOT NULL,
    PRIMARY KEY (blob, number)
);

-- Compartments may not be added under an epoch older than this one: its key is destroyed, or about to be.
CREATE TABLE epoch_floor (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch integer NOT NULL
);
INSERT INTO epoch_floor (epoch) VALUES (0);
