"""Floor 0: types and pure functions every other room may use. No network, no database."""
