-- The recovery's journal, in the target's own database: every step of an undo and the mark of how far it is commit together.
-- {schema} is holdfast_recovery. It holds rows of protected tables: nobody but its owner may read it.

CREATE TABLE {schema}.transition (was text, state text, PRIMARY KEY (was, state));
INSERT INTO {schema}.transition VALUES
    ('new', 'preparing'), ('preparing', 'armed'), ('preparing', 'disarming'),
    ('armed', 'fencing'), ('armed', 'disarming'), ('fencing', 'fenced'), ('fencing', 'armed'),
    ('fenced', 'captured'), ('fenced', 'armed'), ('captured', 'undoing'), ('captured', 'armed'),
    ('undoing', 'undone'), ('undoing', 'undone_with_conflicts'),
    ('undone', 'disarming'), ('undone_with_conflicts', 'disarming'), ('disarming', 'disarmed'), ('disarmed', 'preparing');

CREATE TABLE {schema}.recovery (                    -- a migration's; its row lock is the order of everything
    migration_id  text PRIMARY KEY,
    was           text NOT NULL DEFAULT 'new',
    state         text NOT NULL,
    role_name     text NOT NULL,                    -- the role that the migration connects as
    slot          text NOT NULL UNIQUE,
    publication   text NOT NULL,
    origins       text[] NOT NULL,
    restore_point text,
    nonce         text NOT NULL,                    -- what the trigger's messages carry: nobody else knows it
    token         bigint NOT NULL DEFAULT 0,        -- of whoever recovers; a lower one may not write any more
    armed_lsn     pg_lsn,                           -- what committed before it is not in the slot
    fence_lsn     pg_lsn,                           -- what committed after it is not the migration's
    fenced_login  boolean NOT NULL DEFAULT false,   -- the role could log in before the fence: give it back
    chunks        int,
    next_chunk    int,                              -- the newest one not yet taken back; 0: none is left
    on_conflict   text CHECK (on_conflict IN ('keep', 'cascade', 'force')),
    rows_undone   bigint NOT NULL DEFAULT 0,
    undo_seconds  double precision NOT NULL DEFAULT 0,
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (was, state) REFERENCES {schema}.transition
);

CREATE TABLE {schema}.protected (                   -- a table, or a leaf of a partitioned one, under one armed migration at most
    table_oid        oid PRIMARY KEY,
    migration_id     text NOT NULL REFERENCES {schema}.recovery,
    table_name       text NOT NULL,                 -- as it was called when it was armed
    replica_identity "char" NOT NULL,               -- before arming, to be restored
    replica_index    text                           -- of identity 'i'
);

CREATE TABLE {schema}.relation (                    -- a table as the log described it; DDL in between makes another version
    migration_id     text NOT NULL REFERENCES {schema}.recovery,
    version          int NOT NULL,
    table_oid        oid NOT NULL,
    schema_name      text NOT NULL,
    table_name       text NOT NULL,
    replica_identity "char" NOT NULL,
    columns          jsonb NOT NULL,                -- [{{"name", "type_oid", "type_modifier", "key"}}, ...] in the log's order
    PRIMARY KEY (migration_id, version)
);

CREATE TABLE {schema}.change (                      -- one row that the migration wrote, in the order of commits
    migration_id text NOT NULL REFERENCES {schema}.recovery,
    seq          bigint NOT NULL,
    chunk        int NOT NULL,                      -- one table, one operation, no row twice
    version      int NOT NULL,
    xid          bigint NOT NULL,
    operation    "char" NOT NULL CHECK (operation IN ('I', 'U', 'D')),
    old          text[],
    new          text[],
    PRIMARY KEY (migration_id, seq)
);
CREATE INDEX change_chunk ON {schema}.change (migration_id, chunk);

CREATE TABLE {schema}.hazard (                      -- what the log holds of the migration and no row undo takes back
    migration_id text NOT NULL REFERENCES {schema}.recovery,
    number       int NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('truncate', 'no_old_row', 'untagged', 'ddl')),
    xid          bigint NOT NULL,
    committed_at timestamptz NOT NULL,
    table_name   text NOT NULL,
    detail       text NOT NULL,
    PRIMARY KEY (migration_id, number)
);

CREATE TABLE {schema}.conflict (                    -- a change that was not taken back, and why
    migration_id text NOT NULL REFERENCES {schema}.recovery,
    seq          bigint NOT NULL,
    table_name   text NOT NULL,
    reason       text NOT NULL,
    key          jsonb NOT NULL,                    -- the row's key, or its whole new image where it has none
    columns      text[] NOT NULL,                   -- those that stay as they are
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration_id, seq)
);
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC;
