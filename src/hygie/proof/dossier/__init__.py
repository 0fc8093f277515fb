"""What a dossier is written with: lines of the logs, manifest, sample, losses. Format: docs/formats/dossier.md v1."""
