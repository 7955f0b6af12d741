"""The shared kernel: what the stages say to each other (contracts) and what carries it (transport)."""
