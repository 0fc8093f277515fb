-- The retentions in force: the longest that the settings asked for, until two persons agreed to a shorter one. Rows are
-- only added, each with a MAC (docs/adr/0028-retentions.md).
CREATE TABLE hygie.retention (
    name     text    NOT NULL CHECK (name ~ '^[a-z][a-z-]{0,31}$'),
    rank     integer NOT NULL CHECK (rank > 0),
    value    integer NOT NULL CHECK (value >= 0),
    since_ms bigint  NOT NULL,
    request  text    NOT NULL,
    mac      bytea   NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (name, rank)
);
GRANT SELECT ON hygie.retention TO hygie_sealer;
GRANT SELECT (name, rank, value, since_ms, request) ON hygie.retention TO hygie_console;
