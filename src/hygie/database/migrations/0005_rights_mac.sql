-- Accounts, tokens and habilitations carry a MAC under a key of the KMS, which the database never sees: the gate passes
-- over a row that somebody wrote by SQL. It covers what a live row says; withdrawing the right removes it. Rows that
-- were there before get theirs from ``hygie upgrade``.
ALTER TABLE hygie.account      ADD COLUMN mac bytea CHECK (length(mac) = 32);
ALTER TABLE hygie.token        ADD COLUMN mac bytea CHECK (length(mac) = 32);
ALTER TABLE hygie.habilitation ADD COLUMN mac bytea CHECK (length(mac) = 32);
