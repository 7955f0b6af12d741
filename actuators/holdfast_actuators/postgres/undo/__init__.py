"""The undo from the log: decode and capture what a migration committed, plan, and write the inverse."""
