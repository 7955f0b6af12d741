"""preflight: what could be taken back, before anything runs; what could not, and what to change. Reads only."""
