-- A person lets a run go on for a time in spite of its triggers.
ALTER TABLE migration
    ADD COLUMN override_by     text,
    ADD COLUMN override_reason text,
    ADD COLUMN override_until  timestamptz;
