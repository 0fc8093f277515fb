"""One file per command, each with ``register(app)``. Heavy rooms are imported inside the command, not at the top."""
