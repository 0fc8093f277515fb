-- What the sites hold of the logs of the proof plane (docs/formats/proof-segments.md): the working process publishes them.
-- Rows of documents and catalogues have no numbers. plain: bytes before sealing; merged_ms: when small ones became it.
CREATE TABLE hygie.proof_object (
    name      text   PRIMARY KEY,
    log       text   NOT NULL CHECK (log IN ('records', 'batches', 'documents', 'catalogues')),
    first     bigint CHECK (first > 0),
    last      bigint CHECK (last >= first),
    digest    bytea  NOT NULL CHECK (octet_length(digest) = 32),
    plain     bigint NOT NULL CHECK (plain >= 0),
    merged_ms bigint,
    sha256    bytea  NOT NULL CHECK (octet_length(sha256) = 32),
    bytes     bigint NOT NULL CHECK (bytes > 0),
    UNIQUE (log, first),
    CHECK ((first IS NULL) = (log IN ('documents', 'catalogues')) AND (last IS NULL) = (first IS NULL))
);
CREATE INDEX proof_object_last ON hygie.proof_object (log, last DESC);

-- Writes that the journal names and that nobody holds any more: their numbers are not given again. digest: of the last.
CREATE TABLE hygie_proof.hole (
    log    text   NOT NULL CHECK (log IN ('records', 'batches')),
    first  bigint NOT NULL CHECK (first > 0),
    last   bigint NOT NULL CHECK (last >= first),
    digest bytea  NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (log, first)
);

GRANT SELECT, INSERT, DELETE ON hygie.proof_object TO hygie_sealer;
GRANT USAGE ON SCHEMA hygie_proof TO hygie_sealer;
GRANT SELECT ON hygie_proof.head, hygie_proof.record, hygie_proof.document, hygie_proof.catalogue, hygie_proof.batch,
    hygie_proof.run, hygie_proof.hole TO hygie_sealer;
GRANT SELECT ON hygie_proof.hole TO hygie_console;
