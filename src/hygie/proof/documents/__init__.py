"""The papers of a dossier, for people: each a pure function from what is known at an instant to the bytes of a file."""
