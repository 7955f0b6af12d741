"""What carries the contracts: topics, their encoding, publishing and reading them."""
