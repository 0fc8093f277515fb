"""The papers of a dossier, for people: pure functions from what is known at an instant to the bytes of one file."""
