-- How far an undo from the log is, as its actuator told last; DesiredState carries it.
ALTER TABLE log_undo ADD COLUMN progress jsonb;
