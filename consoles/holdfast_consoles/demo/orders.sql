-- The demo's target: what a real system holds, and an audit of every write to it, by whom.
CREATE TABLE orders (
    id           bigint PRIMARY KEY,
    amount_text  text NOT NULL,          -- mostly clean, some not convertible
    amount_cents bigint,                 -- what the migration fills; 30 % hold other values already
    note         text NOT NULL DEFAULT ''
);

CREATE SCHEMA audit;
CREATE TABLE audit.write (
    seq              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_name text NOT NULL,
    op               text NOT NULL,
    id               bigint NOT NULL,
    old_cents        bigint,
    new_cents        bigint,
    at               timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Statement triggers with transition tables: one INSERT for a batch, not one for a row.
CREATE FUNCTION audit.inserted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO audit.write (application_name, op, id, new_cents)
    SELECT current_setting('application_name'), 'insert', id, amount_cents FROM written;
    RETURN NULL;
END $$;
CREATE FUNCTION audit.updated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO audit.write (application_name, op, id, old_cents, new_cents)
    SELECT current_setting('application_name'), 'update', id, was.amount_cents, written.amount_cents
    FROM written JOIN was USING (id);
    RETURN NULL;
END $$;
CREATE FUNCTION audit.deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO audit.write (application_name, op, id, old_cents)
    SELECT current_setting('application_name'), 'delete', id, amount_cents FROM was;
    RETURN NULL;
END $$;
