"""The whole loop on this machine, proving itself on a real database: what `holdfast demo` runs."""
