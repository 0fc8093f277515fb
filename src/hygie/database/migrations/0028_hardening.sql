-- The state of the machine that somebody accepted, what may be otherwise until when, and what other programs said of it.
-- Rows are only added: the newest baseline, the newest exception of a point and the newest report of a kind
-- count, if their MAC (key of rights) holds: what is written by SQL declares nothing.

CREATE TABLE hygie.hardening_baseline (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms  bigint NOT NULL,
    who    text   NOT NULL,
    reason text   NOT NULL CHECK (length(reason) <= 500),
    points jsonb  NOT NULL,
    mac    bytea  NOT NULL CHECK (length(mac) = 32)
);

CREATE TABLE hygie.hardening_waiver (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    point    text   NOT NULL CHECK (point ~ '^[a-z][a-z0-9-]{0,63}$'),
    from_ms  bigint NOT NULL,
    until_ms bigint NOT NULL,
    who      text   NOT NULL,
    reason   text   NOT NULL CHECK (length(reason) <= 500),
    mac      bytea  NOT NULL CHECK (length(mac) = 32)
);

CREATE TABLE hygie.hardening_report (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text    NOT NULL CHECK (kind IN ('lynis', 'openscap', 'sslyze')),
    at_ms       bigint  NOT NULL,
    imported_ms bigint  NOT NULL,
    who         text    NOT NULL,
    sha256      bytea   NOT NULL CHECK (length(sha256) = 32),
    counts      jsonb   NOT NULL,
    passed      boolean NOT NULL,
    mac         bytea   NOT NULL CHECK (length(mac) = 32)
);

GRANT SELECT ON hygie.hardening_baseline, hygie.hardening_waiver, hygie.hardening_report TO hygie_sealer;
GRANT SELECT (id, at_ms, who, reason, points) ON hygie.hardening_baseline TO hygie_console;
GRANT SELECT (id, point, from_ms, until_ms, who, reason) ON hygie.hardening_waiver TO hygie_console;
GRANT SELECT (id, kind, at_ms, imported_ms, who, sha256, counts, passed) ON hygie.hardening_report TO hygie_console;
