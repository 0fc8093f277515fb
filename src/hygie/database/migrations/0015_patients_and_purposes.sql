-- What a habilitation is limited to, beside types: sets of patients (Group/ID, of its environment) and purposes of use.
-- All when empty; its MAC covers them (docs/adr/0021-patient-sets.md).
ALTER TABLE hygie.habilitation ADD COLUMN patients text NOT NULL DEFAULT '' CHECK (length(patients) <= 1000);
ALTER TABLE hygie.habilitation ADD COLUMN purposes text NOT NULL DEFAULT '' CHECK (length(purposes) <= 1000);
GRANT SELECT (patients, purposes) ON hygie.habilitation TO hygie_console;
