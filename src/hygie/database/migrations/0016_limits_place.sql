-- What an account, a client or an environment may use when it is not the installation's own default. mac: as for every row
-- that gives a right (docs/adr/0014-rights-carry-a-mac.md). subject: an account's id; a client's or an environment's id in
-- hexadecimal.
CREATE TABLE hygie.allowance (
    id         text   PRIMARY KEY,
    kind       text   NOT NULL CHECK (kind IN ('account', 'tenant', 'environment')),
    subject    text   NOT NULL CHECK (length(subject) BETWEEN 1 AND 100),
    name       text   NOT NULL CHECK (name IN ('points', 'bytes', 'versions')),
    value      bigint NOT NULL CHECK (value > 0),
    reason     text   NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    created_ms bigint NOT NULL,
    ends_ms    bigint NOT NULL,
    revoked_ms bigint,
    mac        bytea  CHECK (length(mac) = 32),
    CHECK (ends_ms > created_ms)
);
CREATE UNIQUE INDEX allowance_live ON hygie.allowance (kind, subject, name) WHERE revoked_ms IS NULL;
CREATE TRIGGER allowance_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.allowance
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
GRANT SELECT ON hygie.allowance TO hygie_hosting, hygie_sealer;
GRANT SELECT (id, kind, subject, name, value, reason, created_ms, ends_ms, revoked_ms) ON hygie.allowance TO hygie_console;

-- Points left to each account and client, over all processes. Unlogged: a settlement waits for no disk, and after a crash
-- every bucket is full, which costs one burst (docs/adr/0022-limits.md). As many rows as accounts and clients at most.
CREATE UNLOGGED TABLE hygie.rate_level (
    subject bytea            PRIMARY KEY CHECK (length(subject) = 16),
    level   double precision NOT NULL,
    at_ms   bigint           NOT NULL
);
REVOKE ALL ON hygie.rate_level FROM PUBLIC;

-- Charge what a process let through (spent; negative gives back), and give it up to ``more`` for what comes next, never
-- more than half of what is left: other processes ask too. rate: points a second; burst: what a full bucket holds. The
-- database's own clock counts; set back, it refills nothing and goes on from there. Sorted, so that two processes never
-- wait for one another in a ring.
CREATE FUNCTION hygie.take_points(subjects bytea[], spent bigint[], more bigint[], rates bigint[], bursts bigint[])
    RETURNS TABLE (rank bigint, given bigint, wait_ms bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_ms bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    asked  record;
    stood  record;
    points double precision;
BEGIN
    FOR asked IN
        SELECT * FROM unnest(subjects, spent, more, rates, bursts) WITH ORDINALITY
            AS a (subject, spent, more, rate, burst, rank) ORDER BY a.subject
    LOOP
        INSERT INTO hygie.rate_level AS l (subject, level, at_ms) VALUES (asked.subject, asked.burst, now_ms)
            ON CONFLICT DO NOTHING;
        SELECT l.level, l.at_ms INTO stood FROM hygie.rate_level AS l WHERE l.subject = asked.subject FOR UPDATE;
        points := least(asked.burst, stood.level + greatest(now_ms - stood.at_ms, 0) * asked.rate / 1000.0) - asked.spent;
        rank := asked.rank;
        given := floor(least(asked.more, greatest(points, 0) / 2))::bigint;
        wait_ms := CASE WHEN points >= 1 THEN 0 ELSE ceil((1 - points) * 1000 / asked.rate)::bigint END;
        UPDATE hygie.rate_level AS l SET level = points - given, at_ms = now_ms WHERE l.subject = asked.subject;
        RETURN NEXT;
    END LOOP;
END;
$$;
REVOKE ALL ON FUNCTION hygie.take_points(bytea[], bigint[], bigint[], bigint[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hygie.take_points(bytea[], bigint[], bigint[], bigint[], bigint[]) TO hygie_hosting;

-- Environments that asked for something lately, over all processes: each then leaves the others their turn. Unlogged: it is
-- about the last seconds.
CREATE UNLOGGED TABLE hygie.active_environment (
    who   text   PRIMARY KEY CHECK (length(who) <= 130),
    at_ms bigint NOT NULL
);
REVOKE ALL ON hygie.active_environment FROM PUBLIC;

-- Say which ones asked in this process, hear which ones did anywhere in the last ``recent_ms``.
CREATE FUNCTION hygie.tell_active(seen text[], recent_ms bigint)
    RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_ms bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
BEGIN
    INSERT INTO hygie.active_environment AS a (who, at_ms)
        SELECT s.who, now_ms FROM unnest(seen) AS s (who) ORDER BY s.who
        ON CONFLICT (who) DO UPDATE SET at_ms = now_ms;
    RETURN QUERY SELECT a.who FROM hygie.active_environment AS a WHERE a.at_ms BETWEEN now_ms - recent_ms AND now_ms;
END;
$$;
REVOKE ALL ON FUNCTION hygie.tell_active(text[], bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hygie.tell_active(text[], bigint) TO hygie_hosting;

-- Where networks are, as somebody declares it: an address in one of them is not looked up. whose: a site, a client, or nothing.
CREATE TABLE hygie.network (
    id         text   PRIMARY KEY,
    cidr       text   NOT NULL CHECK (length(cidr) <= 50),
    country    text   NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    whose      text   NOT NULL CHECK (length(whose) <= 100),
    label      text   NOT NULL CHECK (length(label) BETWEEN 3 AND 200),
    created_ms bigint NOT NULL,
    ends_ms    bigint NOT NULL,
    revoked_ms bigint,
    mac        bytea  CHECK (length(mac) = 32),
    CHECK (ends_ms > created_ms)
);
CREATE UNIQUE INDEX network_live ON hygie.network (cidr) WHERE revoked_ms IS NULL;

-- From which countries a client's data may be reached: a list of its own, or an exception outside the European Economic Area
-- with its basis (RGPD 45 or 46), what it refers to, and when the client was told. subject: a client's or an environment's id in hexadecimal.
CREATE TABLE hygie.country_rule (
    id         text   PRIMARY KEY,
    kind       text   NOT NULL CHECK (kind IN ('list', 'exception')),
    subject    text   NOT NULL CHECK (length(subject) = 32),
    countries  text   NOT NULL CHECK (countries ~ '^[A-Z]{2}( [A-Z]{2})*$'),
    basis      text   NOT NULL CHECK (basis IN ('', 'rgpd-45', 'rgpd-46')),
    reference  text   NOT NULL CHECK (length(reference) <= 500),
    told_on    text   NOT NULL CHECK (length(told_on) <= 10),
    reason     text   NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    created_ms bigint NOT NULL,
    ends_ms    bigint NOT NULL,
    revoked_ms bigint,
    mac        bytea  CHECK (length(mac) = 32),
    CHECK (ends_ms > created_ms),
    CHECK (kind = 'list' OR (basis <> '' AND reference <> ''))
);
CREATE UNIQUE INDEX country_list_live ON hygie.country_rule (subject) WHERE revoked_ms IS NULL AND kind = 'list';

CREATE TRIGGER network_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.network
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
CREATE TRIGGER country_rule_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.country_rule
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
GRANT SELECT ON hygie.network, hygie.country_rule TO hygie_hosting, hygie_sealer;
GRANT SELECT (id, cidr, country, whose, label, created_ms, ends_ms, revoked_ms) ON hygie.network TO hygie_console;
GRANT SELECT (id, kind, subject, countries, basis, reference, told_on, reason, created_ms, ends_ms, revoked_ms)
    ON hygie.country_rule TO hygie_console;
