-- The exit of a client: what was ordered and returned, what was consented to, what was destroyed. Written by the owner.

-- covered: JSON, environment id (hex) -> [last pack, packs, versions]: what the export holds of each.
CREATE TABLE hygie.exit_export (
    id              text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    tenant          bytea  NOT NULL REFERENCES hygie.tenant (id),
    instruction     text   NOT NULL,
    ordered_ms      bigint NOT NULL,
    ended_ms        bigint,
    complete        boolean NOT NULL DEFAULT false,
    manifest_sha256 bytea CHECK (length(manifest_sha256) = 32),
    code_sha256     bytea CHECK (length(code_sha256) = 32),
    covered         text
);
CREATE INDEX exit_export_tenant ON hygie.exit_export (tenant);

CREATE TABLE hygie.exit_consent (
    id               text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    export           text   NOT NULL REFERENCES hygie.exit_export (id),
    given_by         text   NOT NULL,
    statement_sha256 bytea  NOT NULL CHECK (length(statement_sha256) = 32),
    recorded_by      text   NOT NULL,
    recorded_ms      bigint NOT NULL
);

-- keys_since_ms: copies of keys on the backup target that were taken before this instant are removed at once.
CREATE TABLE hygie.exit_destruction (
    id            text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    consent       text   NOT NULL UNIQUE REFERENCES hygie.exit_consent (id),
    requested_by  text   NOT NULL,
    approver      text   NOT NULL,
    requested_ms  bigint NOT NULL,
    certificate   bytea,
    final_ms      bigint,
    keys_since_ms bigint,
    CHECK (approver <> requested_by)
);

CREATE TRIGGER exit_export_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.exit_export
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
CREATE TRIGGER exit_consent_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.exit_consent
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();
CREATE TRIGGER exit_destruction_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.exit_destruction
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();

-- The working process publishes these tables with the platform's other ones.
GRANT SELECT ON hygie.exit_export, hygie.exit_consent, hygie.exit_destruction TO hygie_sealer;
