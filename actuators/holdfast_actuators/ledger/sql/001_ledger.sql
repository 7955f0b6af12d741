-- The ledger: what was decided, what was asked for, what was achieved. Every change of state and the record that reports
-- it commit together. Unqualified names: the session's search_path is the ledger's schema.

CREATE TABLE action_transition (was text, state text, PRIMARY KEY (was, state));
INSERT INTO action_transition VALUES
    ('new', 'requested'), ('new', 'held'), ('new', 'effective'), ('new', 'noted'), ('new', 'already'),
    ('new', 'superseded'), ('new', 'refused'), ('new', 'expired'),
    ('held', 'requested'), ('held', 'superseded'), ('held', 'refused'), ('held', 'expired'),
    ('requested', 'acknowledged'), ('requested', 'effective'), ('requested', 'unacknowledged'),
    ('requested', 'superseded'), ('requested', 'expired'), ('requested', 'failed'),
    ('acknowledged', 'effective'), ('acknowledged', 'unacknowledged'), ('acknowledged', 'held'),
    ('acknowledged', 'superseded'), ('acknowledged', 'failed'),
    ('unacknowledged', 'acknowledged'), ('unacknowledged', 'effective'), ('unacknowledged', 'held'),
    ('unacknowledged', 'superseded'), ('unacknowledged', 'failed');

CREATE TABLE run_transition (was text, state text, PRIMARY KEY (was, state));
INSERT INTO run_transition VALUES
    ('new', 'waiting'), ('new', 'live'), ('new', 'finished'), ('waiting', 'live'), ('waiting', 'finished'),
    ('live', 'undoing'), ('live', 'finished'), ('undoing', 'finished'), ('finished', 'undoing'), ('finished', 'closed');

CREATE TABLE migration (                              -- its row lock is the order of everything
    migration_id  text PRIMARY KEY,
    run_id        text,                               -- the run that was granted last
    epoch         bigint NOT NULL DEFAULT 0,          -- the highest ever issued
    seen_epoch    bigint NOT NULL DEFAULT 0,          -- the highest ever read on holdfast.control
    start_epoch   bigint NOT NULL DEFAULT 0,
    resumed_epoch bigint NOT NULL DEFAULT 0,
    desired       text   NOT NULL DEFAULT 'none' CHECK (desired IN ('none', 'run', 'throttle', 'pause', 'rollback')),
    set_by        text   NOT NULL DEFAULT '',
    reason        text   NOT NULL DEFAULT '',
    held_by       text,                               -- the person whose pause no trigger lifts, over runs
    held_by_freeze boolean NOT NULL DEFAULT false,
    until         timestamptz,
    undo_by       text,
    undo_token    bigint NOT NULL DEFAULT 0,
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE run (
    run_id           text PRIMARY KEY,
    migration_id     text NOT NULL REFERENCES migration,
    target           text NOT NULL,
    mode             text NOT NULL,
    on_guard_loss    text NOT NULL,
    was              text NOT NULL DEFAULT 'new',
    state            text NOT NULL,
    start_epoch      bigint,
    expected_workers int NOT NULL DEFAULT 1,
    outcome          text,
    requested_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    heard_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz,
    FOREIGN KEY (was, state) REFERENCES run_transition
);
CREATE INDEX run_open ON run (migration_id) WHERE state <> 'closed';

CREATE TABLE worker (
    run_id             text NOT NULL REFERENCES run,
    worker_id          text NOT NULL,
    joined_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    heard_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    left_outcome       text,
    acknowledged_epoch bigint NOT NULL DEFAULT 0,
    can_undo           boolean NOT NULL DEFAULT false,
    host               text NOT NULL DEFAULT '',
    pid                bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, worker_id)
);

CREATE TABLE action (                                 -- one row a cause: kept longer than the topic, or a replay acts again
    cause_id        text PRIMARY KEY,
    cause_kind      text NOT NULL,
    migration_id    text REFERENCES migration,
    run_id          text,
    kind            text NOT NULL,
    epoch           bigint,
    was             text NOT NULL DEFAULT 'new',
    state           text NOT NULL,
    revision        int  NOT NULL DEFAULT 1,
    actor           text NOT NULL,
    reason          text NOT NULL DEFAULT '',
    verdict         text NOT NULL DEFAULT '',
    trigger_id      text,
    steps_left      bigint,
    decided_at      timestamptz,
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    acknowledged_at timestamptz,
    effective_at    timestamptz,
    deadline        timestamptz,
    body            jsonb NOT NULL DEFAULT '{}',
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (migration_id, epoch),
    FOREIGN KEY (was, state) REFERENCES action_transition
);
CREATE INDEX action_open ON action (migration_id) WHERE state IN ('requested', 'acknowledged', 'unacknowledged', 'held');

CREATE TABLE rules (
    version    bigint PRIMARY KEY,
    rules      text NOT NULL,
    rules_hash text NOT NULL,
    request_id text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE watched (                                -- the newest Watched of each partition
    partition     int PRIMARY KEY,
    rules_version bigint NOT NULL,
    rules_hash    text NOT NULL,
    fresh_targets text[] NOT NULL DEFAULT '{}',
    logged_at     timestamptz NOT NULL
);

CREATE TABLE frozen (                                 -- at most one row: pause --all
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    actor    text NOT NULL,
    reason   text NOT NULL,
    since    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE beat (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), at timestamptz NOT NULL);
INSERT INTO beat (at) VALUES (clock_timestamp());

CREATE TABLE outbox (                                 -- records owed to Kafka, in order
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic           text NOT NULL,
    partition       int,
    every_partition boolean NOT NULL DEFAULT false,
    key             bytea,
    value           bytea,
    headers         jsonb NOT NULL DEFAULT '[]'
);
