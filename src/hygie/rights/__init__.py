"""The door of rights: people ask, answer what others ask, and end rights, by JSON over HTTP."""
