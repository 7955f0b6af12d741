"""Samplers: they look at a target from outside and tell its figures, where the application cannot. A file a kind."""
