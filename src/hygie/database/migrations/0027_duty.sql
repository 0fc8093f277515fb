-- Who is on duty, as the watch may know it: from when to when, by which channel of the settings, never who. hygie work
-- writes it from the register; a step of the escalation that names the rota is told by the channels of now.

CREATE TABLE hygie.duty (
    from_ms bigint NOT NULL,
    to_ms   bigint NOT NULL CHECK (to_ms > from_ms),
    channel text   NOT NULL CHECK (channel ~ '^[a-z][a-z0-9-]{0,31}$'),
    PRIMARY KEY (from_ms, to_ms, channel)
);

GRANT SELECT ON hygie.duty TO hygie_watch;
GRANT SELECT, INSERT, DELETE ON hygie.duty TO hygie_sealer;
