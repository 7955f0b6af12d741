-- What is older than keep_days is deleted: the oldest first, and never a migration's newest action.
CREATE INDEX action_recorded ON action (recorded_at);
CREATE INDEX action_of_migration ON action (migration_id, recorded_at);
