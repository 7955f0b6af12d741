"""Recovery on PostgreSQL: what is armed before a migration, and how its committed rows are taken back."""
