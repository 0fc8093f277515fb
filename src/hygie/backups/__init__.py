"""Backups: signed snapshots and the objects they name, on a target apart from the sites. Replicas are not backups."""
