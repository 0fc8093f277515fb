-- The schema of the platform, its roles, and what nobody may do.
-- Run by hygie_owner, owner of the database. Roles are shared by all databases of a server: made only if absent.

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            -- the hosting processes: inherit nothing, become one environment's role for each transaction
            ('hygie_hosting', 'LOGIN NOINHERIT NOCREATEDB NOCREATEROLE CONNECTION LIMIT -1'),
            -- the sealer: journal tables only
            ('hygie_sealer', 'LOGIN NOINHERIT NOCREATEDB NOCREATEROLE CONNECTION LIMIT -1'),
            -- what every environment's role may do outside its own schema (INSERT into the pending journal)
            ('hygie_environments', 'NOLOGIN NOCREATEDB NOCREATEROLE')
        ) AS roles (name, options)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.options);
        END IF;
    END LOOP;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO hygie_hosting, hygie_sealer', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE SCHEMA hygie;
REVOKE ALL ON SCHEMA hygie FROM PUBLIC;
GRANT USAGE ON SCHEMA hygie TO hygie_hosting, hygie_sealer, hygie_environments;

-- PostgreSQL gives everyone EXECUTE on new functions and USAGE on new types: not here.
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM PUBLIC;

-- One row per file applied: scope '' for the platform, the role's name for an environment's schema.
CREATE TABLE hygie.migration (
    scope text NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (scope, name)
);
