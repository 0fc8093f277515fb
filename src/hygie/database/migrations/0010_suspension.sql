-- A habilitation may be suspended (training or undertaking that lapsed) and taken up again. The MAC of a suspended one says
-- so: it does not live again by SQL.
ALTER TABLE hygie.habilitation ADD COLUMN suspended_ms bigint;
GRANT SELECT (suspended_ms) ON hygie.habilitation TO hygie_console;
