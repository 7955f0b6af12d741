"""Base backups and restore points: what a clone is made of."""
