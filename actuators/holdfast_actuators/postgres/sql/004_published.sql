-- The publication as arming left it: one that was dropped and made again under its name looks the same by all else.

CREATE TABLE {schema}.published (
    migration_id text PRIMARY KEY REFERENCES {schema}.recovery,
    catalog_rows text[] NOT NULL                    -- of pg_publication by oid and xmin, of pg_publication_rel by oid
);
REVOKE ALL ON {schema}.published FROM PUBLIC;
