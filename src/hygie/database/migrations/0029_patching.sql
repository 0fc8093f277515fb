-- Vulnerability feeds that the operator brought, one a slot: the file in DATA/patching counts only with this digest. And
-- what they say of what runs: since when it is known here, and, once it is gone, since when. Nothing is removed.

CREATE TABLE hygie.vulnerability_feed (
    slot       text   PRIMARY KEY CHECK (slot IN ('PyPI', 'Debian', 'Bitnami', 'tracker')),
    sha256     text   NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    content    text   NOT NULL CHECK (content ~ '^[0-9a-f]{64}$'),
    advisories bigint NOT NULL CHECK (advisories > 0),
    newest_ms  bigint NOT NULL CHECK (newest_ms >= 0),
    brought_ms bigint NOT NULL,
    releases   text[] NOT NULL CHECK (cardinality(releases) BETWEEN 1 AND 1000)
);

CREATE TABLE hygie.vulnerability (
    name         text   NOT NULL CHECK (length(name) <= 128),
    component    text   NOT NULL CHECK (length(component) <= 250),
    version      text   NOT NULL,
    fixed_in     text   NOT NULL,
    severity     text   NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    score        double precision,
    published_ms bigint,
    first_ms     bigint NOT NULL,
    seen_ms      bigint NOT NULL,
    gone_ms      bigint,
    PRIMARY KEY (name, component)
);
CREATE INDEX vulnerability_open ON hygie.vulnerability (severity) WHERE gone_ms IS NULL;

GRANT SELECT, INSERT ON hygie.vulnerability_feed, hygie.vulnerability TO hygie_sealer;
GRANT UPDATE (sha256, content, advisories, newest_ms, brought_ms, releases)
    ON hygie.vulnerability_feed TO hygie_sealer;
GRANT UPDATE (version, fixed_in, severity, score, published_ms, seen_ms, gone_ms) ON hygie.vulnerability TO hygie_sealer;
