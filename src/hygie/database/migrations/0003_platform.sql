-- Tenants, environments, and who may do what. Written by administration (hygie_owner), read by the gate (hygie_hosting).

CREATE TABLE hygie.tenant (
    id         bytea PRIMARY KEY CHECK (length(id) = 16),
    name       text  NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    label      text  NOT NULL,
    created_ms bigint NOT NULL
);

CREATE SEQUENCE hygie.environment_number;

CREATE TABLE hygie.environment (
    id         bytea PRIMARY KEY CHECK (length(id) = 16),
    tenant     bytea NOT NULL REFERENCES hygie.tenant (id),
    name       text  NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    kind       text  NOT NULL CHECK (kind IN ('production', 'pre-production', 'test', 'demonstration')),
    role       text  NOT NULL UNIQUE CHECK (role ~ '^hygie_env_[0-9]+$'),
    state      text  NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'destroyed')),
    created_ms bigint NOT NULL,
    UNIQUE (tenant, name)
);

CREATE TABLE hygie.account (
    id              text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    kind            text NOT NULL CHECK (kind IN ('person', 'application')),
    label           text NOT NULL,
    professional_id text NOT NULL DEFAULT '',
    state           text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'disabled')),
    created_ms      bigint NOT NULL,
    ends_ms         bigint NOT NULL
);

-- hash: SHA-256 of the token; tokens carry 256 random bits, so a plain hash cannot be searched.
CREATE TABLE hygie.token (
    hash        bytea PRIMARY KEY CHECK (length(hash) = 32),
    id          text NOT NULL UNIQUE,
    account     text NOT NULL REFERENCES hygie.account (id),
    environment bytea NOT NULL REFERENCES hygie.environment (id),
    created_ms  bigint NOT NULL,
    expires_ms  bigint NOT NULL,
    revoked_ms  bigint
);

CREATE TABLE hygie.habilitation (
    id          text PRIMARY KEY,
    account     text NOT NULL REFERENCES hygie.account (id),
    environment bytea NOT NULL REFERENCES hygie.environment (id),
    role        text NOT NULL,
    reason      text NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    approver    text NOT NULL,
    starts_ms   bigint NOT NULL,
    ends_ms     bigint NOT NULL,
    revoked_ms  bigint,
    revoked_by  text,
    CHECK (ends_ms > starts_ms),
    CHECK (approver <> account)
);
CREATE INDEX habilitation_account ON hygie.habilitation (account);

-- Instructions of erasure and what became of them; subjects appear as pseudonyms only.
CREATE TABLE hygie.erasure (
    id             text PRIMARY KEY,
    environment    bytea NOT NULL REFERENCES hygie.environment (id),
    compartment    bytea NOT NULL,
    instruction    jsonb NOT NULL,
    requested_ms   bigint NOT NULL,
    unreadable_ms  bigint,
    purged_ms      bigint,
    final_ms       bigint,
    epoch          integer,
    certificate    bytea
);
CREATE INDEX erasure_environment ON hygie.erasure (environment);

-- Measurements that status and drills read back: one row a run, newest wins.
CREATE TABLE hygie.measurement (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind   text   NOT NULL,
    at_ms  bigint NOT NULL,
    passed boolean NOT NULL,
    facts  jsonb  NOT NULL
);
CREATE INDEX measurement_kind ON hygie.measurement (kind, at_ms DESC);

-- The gate keeps a snapshot of the tables below in memory and asks only for this number: any change bumps it, in the
-- change's own transaction, so a revocation counts from the moment it is committed.
CREATE TABLE hygie.gate_generation (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    value bigint NOT NULL
);
INSERT INTO hygie.gate_generation (value) VALUES (1);

CREATE FUNCTION hygie.bump_gate_generation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = hygie, pg_temp AS $$
BEGIN
    UPDATE hygie.gate_generation SET value = value + 1;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION hygie.bump_gate_generation() FROM PUBLIC;

CREATE TRIGGER tenant_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.tenant
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
CREATE TRIGGER environment_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.environment
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
CREATE TRIGGER account_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.account
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
CREATE TRIGGER token_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.token
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
CREATE TRIGGER habilitation_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.habilitation
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();

GRANT SELECT ON hygie.tenant, hygie.environment, hygie.account, hygie.token, hygie.habilitation,
    hygie.gate_generation TO hygie_hosting;
GRANT SELECT ON hygie.tenant, hygie.environment, hygie.erasure TO hygie_sealer;
GRANT SELECT, INSERT ON hygie.measurement TO hygie_sealer;
