-- After the rows are loaded: from here on every write is recorded.
CREATE TRIGGER audit_insert AFTER INSERT ON orders REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION audit.inserted();
CREATE TRIGGER audit_update AFTER UPDATE ON orders REFERENCING OLD TABLE AS was NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION audit.updated();
CREATE TRIGGER audit_delete AFTER DELETE ON orders REFERENCING OLD TABLE AS was
    FOR EACH STATEMENT EXECUTE FUNCTION audit.deleted();
