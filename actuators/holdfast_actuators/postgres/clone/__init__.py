"""A server at a restore point, beside the live one: made, started, checked; never in its place."""
