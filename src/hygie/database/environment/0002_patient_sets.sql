-- Whose records a habilitation limited to a Group opens: its present members, written with each of its versions.
-- group_id: the opaque id of the Group; subject: whose compartment; from_ms (inclusive), until_ms (exclusive): when the
-- member counts; mac: says that a writer of Hygie wrote the row (docs/formats/catalogue.md).
CREATE TABLE group_member (
    subject  bytea  NOT NULL,
    group_id bytea  NOT NULL,
    from_ms  bigint NOT NULL,
    until_ms bigint NOT NULL,
    mac      bytea  NOT NULL,
    PRIMARY KEY (group_id, subject, from_ms, until_ms)
);
CREATE INDEX group_member_subject ON group_member (subject);

-- All the patients of a shared compartment, to know whether each is open.
CREATE INDEX compartment_member_compartment ON compartment_member (compartment);

-- Whose a compartment is decides what a limited habilitation opens: written once, by whoever makes it.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'whose a compartment is does not change';
END
$$;
CREATE TRIGGER compartment_stays BEFORE UPDATE OF id, kind, subject ON compartment
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
