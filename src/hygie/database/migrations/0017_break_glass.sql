-- Bris de glace: a professional opens the record of a patient outside his scope, for a motive and a short time; somebody
-- else reviews it. Rows are only added, each with a MAC (docs/adr/0027-break-glass.md). subject: the patient, opaque.
CREATE TABLE hygie.break_glass (
    id          text   PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    account     text   NOT NULL REFERENCES hygie.account (id),
    environment bytea  NOT NULL CHECK (length(environment) = 16),
    subject     bytea  NOT NULL CHECK (length(subject) = 16),
    motive      text   NOT NULL,
    opened_ms   bigint NOT NULL,
    ends_ms     bigint NOT NULL CHECK (ends_ms > opened_ms),
    mac         bytea  NOT NULL CHECK (length(mac) = 32)
);
CREATE INDEX break_glass_end ON hygie.break_glass (ends_ms);
CREATE INDEX break_glass_place ON hygie.break_glass (environment, opened_ms);
CREATE TRIGGER break_glass_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.break_glass
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();

CREATE TABLE hygie.break_glass_review (
    opening     text   PRIMARY KEY REFERENCES hygie.break_glass (id),
    verdict     text   NOT NULL CHECK (verdict IN ('justified', 'unjustified')),
    reviewed_by text   NOT NULL,
    reviewed_ms bigint NOT NULL,
    why         text   NOT NULL CHECK (length(why) <= 500),
    mac         bytea  NOT NULL CHECK (length(mac) = 32)
);
CREATE TRIGGER break_glass_review_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hygie.break_glass_review
    FOR EACH STATEMENT EXECUTE FUNCTION hygie.bump_gate_generation();

GRANT SELECT, INSERT ON hygie.break_glass, hygie.break_glass_review TO hygie_hosting;
GRANT SELECT ON hygie.break_glass, hygie.break_glass_review TO hygie_sealer;
GRANT SELECT (id, account, environment, motive, opened_ms, ends_ms) ON hygie.break_glass TO hygie_console;
GRANT SELECT (opening, verdict, reviewed_by, reviewed_ms, why) ON hygie.break_glass_review TO hygie_console;
