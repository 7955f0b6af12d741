-- The recovery's journal, in the target's own database: every step of an undo and the mark of how far it is commit together.
-- {{schema}} is holdfast_recovery, {{joining}} holdfast. It holds rows of protected tables: nobody but its owner may read it.

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
    named            boolean NOT NULL,              -- in the settings; others are its leaves and branches
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
    columns          jsonb NOT NULL,                -- [{{"name", "type_oid", "type_modifier"}}, ...] in the log's order
    PRIMARY KEY (migration_id, version)
);

CREATE TABLE {schema}.change (                      -- one row that the migration wrote, in the order of commits
    migration_id text NOT NULL REFERENCES {schema}.recovery,
    seq          bigint NOT NULL,
    chunk        int NOT NULL,                      -- one table, one operation, no row twice
    version      int NOT NULL,
    xid          bigint NOT NULL,
    operation    text NOT NULL CHECK (operation IN ('I', 'U', 'D')),
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

CREATE FUNCTION {schema}.report_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
-- The role of a protected migration wrote: said in the log itself, where a transaction without the migration's origin shows
-- up by it. A message a statement: one a transaction would be lost with a savepoint.
BEGIN
    PERFORM pg_logical_emit_message(true, 'holdfast', json_build_object(
        'nonce', r.nonce, 'table', format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME), 'operation', TG_OP)::text)
    FROM {schema}.recovery r WHERE r.migration_id = TG_ARGV[0];
    RETURN NULL;
END $$;

CREATE SCHEMA IF NOT EXISTS {joining};
CREATE FUNCTION {joining}.join(migration_id text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
-- Tag what this session writes from now on as the migration's. Returns the origin. Call it once a session, not a
-- transaction; a pooler that changes sessions between transactions cannot be used.
DECLARE
    found record;
    origin text;
BEGIN
    SELECT r.state, r.role_name, r.origins INTO found FROM {schema}.recovery r WHERE r.migration_id = $1;
    IF found.state IS DISTINCT FROM 'armed' THEN
        RAISE 'migration % is not armed', migration_id USING ERRCODE = 'ZH001', HINT = 'holdfast arm ' || migration_id;
    ELSIF found.role_name <> session_user THEN
        RAISE 'migration % is armed for role %, and this session is %''s', migration_id, found.role_name, session_user
            USING ERRCODE = 'ZH002', HINT = 'connect as that role, or set role under [migrations] and arm again';
    END IF;
    IF pg_replication_origin_session_is_setup() THEN
        PERFORM pg_replication_origin_session_reset();
    END IF;
    FOREACH origin IN ARRAY found.origins LOOP
        BEGIN
            PERFORM pg_replication_origin_session_setup(origin);
            RETURN origin;
        EXCEPTION WHEN object_in_use THEN
            NULL; -- another session of this migration has it
        END;
    END LOOP;
    RAISE 'all % origins of migration % are in use', cardinality(found.origins), migration_id
        USING ERRCODE = 'ZH003', HINT = 'raise sessions under [migrations] and arm again';
END $$;
GRANT USAGE ON SCHEMA {joining} TO PUBLIC;
