"""Programs that tests of recovery start and kill."""
