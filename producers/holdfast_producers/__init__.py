"""The runner's side: counts, reports, obeys. Public names are re-exported by `holdfast`."""
