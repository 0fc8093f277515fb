-- How people prove who they are, and what is counted while they do (docs/adr/0019-peoples-authenticators.md).

-- kind: 'enrolment' is a code that is shown once and used once, to register the others. value: what verifies, sealed under a
-- key of the KMS for a password's hash and a TOTP secret; SHA-256 of an enrolment code (125 random bits); a WebAuthn
-- credential with its public key; canonical issuer and subject. mac: as for every row that gives a right.
CREATE TABLE hygie.authenticator (
    id            text   PRIMARY KEY,
    account       text   NOT NULL REFERENCES hygie.account (id),
    kind          text   NOT NULL CHECK (kind IN ('enrolment', 'password', 'totp', 'webauthn', 'oidc')),
    value         bytea  NOT NULL CHECK (octet_length(value) BETWEEN 1 AND 8192),
    label         text   NOT NULL CHECK (length(label) <= 200),
    delivered_how text   NOT NULL CHECK (length(delivered_how) BETWEEN 3 AND 200),
    delivered_by  text   NOT NULL CHECK (length(delivered_by) BETWEEN 1 AND 200),
    created_ms    bigint NOT NULL,
    ends_ms       bigint NOT NULL,
    revoked_ms    bigint,
    mac           bytea  CHECK (length(mac) = 32),
    CHECK (ends_ms > created_ms)
);
CREATE INDEX authenticator_account ON hygie.authenticator (account);
-- One password and one TOTP secret a person, which go together; one code at a time.
CREATE UNIQUE INDEX authenticator_one ON hygie.authenticator (account, kind)
    WHERE revoked_ms IS NULL AND kind IN ('enrolment', 'password', 'totp');
-- An identity or a security key is one person's.
CREATE UNIQUE INDEX authenticator_whose ON hygie.authenticator (kind, sha256(value))
    WHERE revoked_ms IS NULL AND kind IN ('webauthn', 'oidc');
CREATE TRIGGER authenticator_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.authenticator
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();

-- What changes at each use: the last TOTP step, or a security key's count of signatures. It never goes back.
CREATE TABLE hygie.authenticator_use (
    authenticator text   PRIMARY KEY,
    counter       bigint NOT NULL,
    used_ms       bigint NOT NULL
);

-- Failed sign-ins. scope: keyed hash of an account's name and an address, or of a name alone. tries: since the last lock or
-- success; locks: of this day (UTC); good_ms: when a sign-in from there last succeeded.
CREATE TABLE hygie.sign_in (
    scope    bytea    PRIMARY KEY CHECK (length(scope) = 32),
    day      integer  NOT NULL,
    tries    integer  NOT NULL,
    locks    integer  NOT NULL,
    until_ms bigint   NOT NULL,
    good_ms  bigint   NOT NULL,
    seen_ms  bigint   NOT NULL
);
CREATE INDEX sign_in_seen ON hygie.sign_in (seen_ms);

-- A person registers what he will prove himself with. Hosting processes cannot write authenticators: this lets whoever
-- types a live code add some to that code's own account, once. Former ones of the same kinds end.
-- Returns the ids of what ended, the code's first; nothing: no such live code.
CREATE FUNCTION hygie.activate(
    code_id text, code text, at_ms bigint, end_ms bigint,
    ids text[], kinds text[], contents bytea[], labels text[], macs bytea[]
) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = hygie, pg_temp AS $$
DECLARE
    used hygie.authenticator;
    ended text[];
BEGIN
    IF NOT (kinds <@ ARRAY['password', 'totp', 'webauthn']) THEN
        RETURN NULL;
    END IF;
    UPDATE hygie.authenticator a SET revoked_ms = at_ms, mac = NULL
        WHERE a.id = code_id AND a.kind = 'enrolment' AND a.revoked_ms IS NULL
        AND a.value = sha256(convert_to(code, 'UTF8'))
        AND a.ends_ms > greatest(at_ms, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
        RETURNING * INTO used;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WITH former AS (
        UPDATE hygie.authenticator a SET revoked_ms = at_ms, mac = NULL
            WHERE a.account = used.account AND a.kind = ANY (kinds) AND a.kind <> 'webauthn' AND a.revoked_ms IS NULL
            RETURNING a.id
    )
    SELECT coalesce(array_agg(former.id ORDER BY former.id), '{}') INTO ended FROM former;
    INSERT INTO hygie.authenticator
        (id, account, kind, value, label, delivered_how, delivered_by, created_ms, ends_ms, mac)
        SELECT one.id, used.account, one.kind, one.content, one.label, used.delivered_how, used.delivered_by, at_ms,
            end_ms, one.mac
        FROM unnest(ids, kinds, contents, labels, macs) AS one (id, kind, content, label, mac);
    RETURN array_prepend(used.id, ended);
END
$$;
REVOKE ALL ON FUNCTION hygie.activate(text, text, bigint, bigint, text[], text[], bytea[], text[], bytea[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION hygie.activate(text, text, bigint, bigint, text[], text[], bytea[], text[], bytea[])
    TO hygie_hosting;
GRANT SELECT ON hygie.authenticator TO hygie_hosting, hygie_sealer;
GRANT SELECT, INSERT, UPDATE ON hygie.authenticator_use, hygie.sign_in TO hygie_hosting;
GRANT SELECT, DELETE ON hygie.sign_in TO hygie_sealer;
GRANT SELECT (id, account, kind, label, delivered_how, delivered_by, created_ms, ends_ms, revoked_ms)
    ON hygie.authenticator TO hygie_console;
