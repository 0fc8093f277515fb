-- The journal: what waits for its index, the tree head, the indexed entries, and a few published checkpoints.
-- The published copy on the sites is the journal; these tables feed it and make it searchable.
-- Roles hygie_environments, hygie_hosting and hygie_sealer come from 0001.

-- Written inside the transaction of what it traces. Commit order is not id order: only the sealer gives indexes.
CREATE TABLE hygie.journal_pending (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    leaf bytea NOT NULL CHECK (octet_length(leaf) BETWEEN 117 AND 65535)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
ALTER TABLE hygie.journal_pending ALTER COLUMN leaf SET STORAGE EXTERNAL;  -- sealed bytes do not compress

-- One row. levels[l] holds the hashes of the last, partial tile of level l (C2SP tlog-tiles), so that a batch costs the
-- same whatever the size of the tree. Every move compares and swaps (size, root).
CREATE TABLE hygie.journal_head (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    size   bigint  NOT NULL CHECK (size >= 0),
    root   bytea   NOT NULL CHECK (octet_length(root) = 32),
    levels bytea[] NOT NULL
);
INSERT INTO hygie.journal_head (size, root, levels)
VALUES (0, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '{}');

CREATE TABLE hygie.journal_entry (
    index     bigint PRIMARY KEY CHECK (index >= 0),
    leaf      bytea  NOT NULL,
    kind      text   NOT NULL,
    tenant_id bytea  NOT NULL CHECK (octet_length(tenant_id) = 16),
    month     text   NOT NULL,
    at_ms     bigint NOT NULL
);
ALTER TABLE hygie.journal_entry ALTER COLUMN leaf SET STORAGE EXTERNAL;
CREATE INDEX journal_entry_month ON hygie.journal_entry (tenant_id, month, kind, index);

-- At most one a minute, to place a forgery between two signed sizes when an export is checked.
CREATE TABLE hygie.journal_checkpoint (
    size         bigint PRIMARY KEY,
    note         bytea  NOT NULL,
    published_ms bigint NOT NULL
);

GRANT INSERT (leaf) ON hygie.journal_pending TO hygie_environments, hygie_hosting;
GRANT SELECT, INSERT, DELETE ON hygie.journal_pending, hygie.journal_entry, hygie.journal_checkpoint TO hygie_sealer;
GRANT SELECT, UPDATE ON hygie.journal_head TO hygie_sealer;
