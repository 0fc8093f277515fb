-- Minutes in which the door of each client's production was asked, as runs of the same state, and planned windows. Both
-- carry a MAC: what somebody wrote by SQL counts for nothing, what somebody deleted counts for the client.

CREATE TABLE hygie.availability_run (
    environment bytea   NOT NULL CHECK (length(environment) = 16),
    source      text    NOT NULL CHECK (source ~ '^[a-z0-9-]{1,32}$'),
    first       bigint  NOT NULL CHECK (first >= 0),
    last        bigint  NOT NULL CHECK (last >= first),
    state       text    NOT NULL CHECK (state IN ('up', 'slow', 'down')),
    reason      text    NOT NULL CHECK (length(reason) <= 40),
    worst_ms    integer NOT NULL CHECK (worst_ms >= 0),
    mac         bytea   NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (environment, source, first, last, state)
);
CREATE INDEX availability_run_last ON hygie.availability_run (environment, last);

CREATE TABLE hygie.availability_window (
    id           text    PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    tenant       bytea   NOT NULL CHECK (length(tenant) = 16),
    from_minute  bigint  NOT NULL CHECK (from_minute >= 0),
    to_minute    bigint  NOT NULL CHECK (to_minute > from_minute),
    reason       text    NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    declared_ms  bigint  NOT NULL CHECK (declared_ms >= 0),
    notice_hours integer NOT NULL CHECK (notice_hours >= 0),
    cancelled_ms bigint,
    mac          bytea   CHECK (length(mac) = 32)
);
CREATE INDEX availability_window_tenant ON hygie.availability_window (tenant, from_minute);

-- Since when minutes are counted here: nobody measured those before.
CREATE TABLE hygie.availability_since (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    since_ms bigint  NOT NULL
);
INSERT INTO hygie.availability_since (since_ms) VALUES ((extract(epoch FROM now()) * 1000)::bigint);

GRANT SELECT ON hygie.availability_run, hygie.availability_window, hygie.availability_since TO hygie_sealer;
GRANT INSERT, DELETE, UPDATE (last, worst_ms, mac) ON hygie.availability_run TO hygie_sealer;
