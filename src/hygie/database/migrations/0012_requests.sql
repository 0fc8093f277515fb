-- What takes two persons: one asks, another answers, and what was approved is used once. Rows are only ever added, so who
-- asked, who answered and when stays as it was; each carries a MAC (docs/adr/0018-two-persons.md).

-- Whose person an account is: a client's, or the host's own when NULL. Its MAC covers it.
ALTER TABLE hygie.account ADD COLUMN tenant bytea REFERENCES hygie.tenant (id);

-- The host's roles are held on the platform itself, whose id is sixteen zero bytes and which is no environment.
ALTER TABLE hygie.habilitation DROP CONSTRAINT habilitation_environment_fkey;
ALTER TABLE hygie.token DROP CONSTRAINT token_environment_fkey;

-- act: what is asked for; what: it in words, as canonical JSON without any health data; subject: a keyed digest of what
-- may not be told (a patient), which who approves has to name too.
CREATE TABLE hygie.request (
    id          text   PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    act         text   NOT NULL,
    tenant      bytea  NOT NULL CHECK (length(tenant) = 16),
    environment bytea  NOT NULL CHECK (length(environment) = 16),
    what        text   NOT NULL CHECK (length(what) <= 4000),
    subject     bytea  NOT NULL CHECK (length(subject) IN (0, 32)),
    reason      text   NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    asked_by    text   NOT NULL,
    asked_ms    bigint NOT NULL,
    ends_ms     bigint NOT NULL,
    mac         bytea  NOT NULL CHECK (length(mac) = 32),
    CHECK (ends_ms > asked_ms)
);
CREATE INDEX request_place ON hygie.request (environment, asked_ms);

CREATE TABLE hygie.decision (
    request    text   PRIMARY KEY REFERENCES hygie.request (id),
    verdict    text   NOT NULL CHECK (verdict IN ('approved', 'refused', 'withdrawn')),
    decided_by text   NOT NULL,
    decided_ms bigint NOT NULL,
    why        text   NOT NULL CHECK (length(why) <= 500),
    mac        bytea  NOT NULL CHECK (length(mac) = 32)
);

-- An approval is used up by the act that it was given for. outcome: what became of it, a code.
CREATE TABLE hygie.request_use (
    request text   PRIMARY KEY REFERENCES hygie.request (id),
    used_ms bigint NOT NULL,
    outcome text   NOT NULL CHECK (length(outcome) <= 200)
);

-- To end a right needs no key: the hosting role may, one at a time, and nothing else of these tables.
CREATE FUNCTION hygie.end_habilitation(wanted text, by_whom text, at bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = hygie, pg_temp AS $$
    WITH ended AS (
        UPDATE hygie.habilitation SET revoked_ms = at, revoked_by = by_whom, mac = NULL
        WHERE id = wanted AND revoked_ms IS NULL RETURNING 1
    )
    SELECT EXISTS (SELECT FROM ended)
$$;
REVOKE ALL ON FUNCTION hygie.end_habilitation(text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hygie.end_habilitation(text, text, bigint) TO hygie_hosting;

GRANT SELECT, INSERT ON hygie.request, hygie.decision TO hygie_hosting;
GRANT SELECT ON hygie.request_use TO hygie_hosting;
GRANT SELECT ON hygie.request, hygie.decision, hygie.request_use TO hygie_sealer;
GRANT SELECT (id, act, tenant, environment, what, reason, asked_by, asked_ms, ends_ms) ON hygie.request TO hygie_console;
GRANT SELECT (request, verdict, decided_by, decided_ms, why) ON hygie.decision TO hygie_console;
GRANT SELECT ON hygie.request_use TO hygie_console;
GRANT SELECT (tenant) ON hygie.account TO hygie_console;
