-- People sign in (docs/adr/0020-people-sign-in.md): where applications get them back, which sessions of theirs are under
-- way, and the instant before which somebody ended all of them.

ALTER TABLE hygie.client_key
    DROP CONSTRAINT client_key_kind_check,
    ADD CONSTRAINT client_key_kind_check
        CHECK (kind IN ('jwks', 'jwks_url', 'certificate', 'redirect', 'redirect_public'));

-- What people are shown of their sessions. It gives nothing and ends nothing: a row that lacks takes no right away.
CREATE TABLE hygie.person_session (
    id          bytea  PRIMARY KEY CHECK (length(id) = 16),
    account     text   NOT NULL REFERENCES hygie.account (id),
    application text   NOT NULL REFERENCES hygie.account (id),
    environment bytea  NOT NULL CHECK (length(environment) = 16),
    method      text   NOT NULL CHECK (length(method) <= 200),
    opened_ms   bigint NOT NULL,
    until_ms    bigint NOT NULL
);
CREATE INDEX person_session_account ON hygie.person_session (account, until_ms);

-- Whatever a person opened before this instant counts no more. Withdrawing needs no key.
CREATE TABLE hygie.session_cut (
    account   text   NOT NULL REFERENCES hygie.account (id),
    before_ms bigint NOT NULL,
    until_ms  bigint NOT NULL,
    PRIMARY KEY (account, before_ms)
);
CREATE TRIGGER session_cut_changes AFTER INSERT ON hygie.session_cut
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();

GRANT SELECT, INSERT ON hygie.person_session TO hygie_hosting;
GRANT SELECT, DELETE ON hygie.person_session TO hygie_sealer;
GRANT SELECT, INSERT ON hygie.session_cut TO hygie_hosting;
GRANT SELECT, DELETE ON hygie.session_cut TO hygie_sealer;
