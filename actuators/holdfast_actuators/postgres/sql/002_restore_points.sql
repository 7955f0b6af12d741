-- The restore points that arming made.

CREATE TABLE {schema}.restore_point (               -- stays after disarm: a clone may be made for as long as the WAL is kept
    name         text PRIMARY KEY,                  -- of its own for each arming: recovery stops at the first of a name
    migration_id text NOT NULL REFERENCES {schema}.recovery,
    lsn          pg_lsn NOT NULL,
    wal_file     text NOT NULL,                     -- the file that holds it: its first 8 digits are the timeline
    backup       text NOT NULL,                     -- the base backup that it was made over
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
REVOKE ALL ON {schema}.restore_point FROM PUBLIC;
