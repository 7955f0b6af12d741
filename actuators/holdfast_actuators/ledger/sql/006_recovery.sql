-- Recovery: what the targets' journals say could be taken back from the log, and the undos from the log that are due.
CREATE TABLE recovery (
    migration_id text PRIMARY KEY,
    state        text NOT NULL,
    protect      text NOT NULL,                     -- auto, always or never, as the actuator's settings say
    run_id       text,                              -- the run that is to be armed, or is
    armed_for    text,                              -- the run whose rows the slot holds: an undo must not take others' back
    refusal      text,                              -- why it cannot be armed for that run
    seen_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE log_undo (
    cause_id          text PRIMARY KEY,             -- of its action
    rollback_cause_id text NOT NULL,
    migration_id      text NOT NULL REFERENCES migration,
    run_id            text NOT NULL,
    on_conflict       text NOT NULL,
    token             bigint NOT NULL DEFAULT 0,    -- of whoever has the lease: an older one may report nothing
    owner             text,
    lease_until       timestamptz NOT NULL DEFAULT '-infinity',
    done_at           timestamptz
);
CREATE INDEX log_undo_open ON log_undo (migration_id) WHERE done_at IS NULL;
