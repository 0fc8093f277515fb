-- How applications prove who they are, and sessions that were ended before their time. Access tokens themselves are not
-- stored: they carry a MAC (docs/adr/0017-access-tokens.md).

-- value: a JWK set, its https address, or the SHA-256 of a certificate in hexadecimal. mac: as for every row that gives a
-- right (docs/adr/0014-rights-carry-a-mac.md); a key that is withdrawn loses it.
CREATE TABLE hygie.client_key (
    id         text   PRIMARY KEY,
    account    text   NOT NULL REFERENCES hygie.account (id),
    kind       text   NOT NULL CHECK (kind IN ('jwks', 'jwks_url', 'certificate')),
    value      text   NOT NULL CHECK (octet_length(value) BETWEEN 1 AND 65536),
    created_ms bigint NOT NULL,
    ends_ms    bigint NOT NULL,
    revoked_ms bigint,
    mac        bytea  CHECK (length(mac) = 32),
    CHECK (ends_ms > created_ms)
);
CREATE INDEX client_key_account ON hygie.client_key (account);
CREATE TRIGGER client_key_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.client_key
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();

-- What a habilitation is limited to: types of resources, all when empty. Its MAC covers them.
ALTER TABLE hygie.habilitation ADD COLUMN types text NOT NULL DEFAULT '' CHECK (length(types) <= 2000);

-- Why an account has a token that is kept, where applications prove themselves and people sign in: an exception.
ALTER TABLE hygie.token ADD COLUMN exception text NOT NULL DEFAULT '' CHECK (length(exception) <= 500);

-- Sessions ended early, until they would have ended by themselves. Withdrawing needs no key.
CREATE TABLE hygie.session_end (
    id       bytea  PRIMARY KEY CHECK (length(id) = 16),
    until_ms bigint NOT NULL,
    ended_ms bigint NOT NULL
);
CREATE TRIGGER session_end_changes AFTER INSERT ON hygie.session_end
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();

-- Assertions are taken once, whichever process they are shown to.
CREATE TABLE hygie.assertion (
    digest   bytea  PRIMARY KEY CHECK (length(digest) = 32),
    until_ms bigint NOT NULL
);
CREATE INDEX assertion_until ON hygie.assertion (until_ms);

GRANT SELECT ON hygie.client_key TO hygie_hosting, hygie_sealer;
GRANT INSERT ON hygie.assertion TO hygie_hosting;  -- one that was taken is not forgotten by who takes it
GRANT SELECT, DELETE ON hygie.assertion TO hygie_sealer;
GRANT SELECT, INSERT ON hygie.session_end TO hygie_hosting;
GRANT SELECT, DELETE ON hygie.session_end TO hygie_sealer;
GRANT SELECT (types) ON hygie.habilitation TO hygie_console;
GRANT SELECT (exception) ON hygie.token TO hygie_console;
GRANT SELECT (id, account, kind, created_ms, ends_ms, revoked_ms) ON hygie.client_key TO hygie_console;
