-- How far each export to a SOC is, for each source it carries: the position after all that its receiver took. code: of the
-- last try, empty when it was taken; tried_ms: when.

CREATE TABLE hygie.soc_cursor (
    export   text   NOT NULL CHECK (export ~ '^[a-z][a-z0-9-]{0,31}$'),
    source   text   NOT NULL CHECK (source IN ('journal', 'measurement', 'check')),
    position bigint NOT NULL CHECK (position >= 0),
    taken_ms bigint NOT NULL,
    sent     bigint NOT NULL DEFAULT 0 CHECK (sent >= 0),
    tried_ms bigint NOT NULL,
    code     text   NOT NULL DEFAULT '' CHECK (length(code) <= 100),
    PRIMARY KEY (export, source)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON hygie.soc_cursor TO hygie_watch;
GRANT SELECT ON hygie.soc_cursor TO hygie_console, hygie_sealer;
