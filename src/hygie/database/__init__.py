"""Floor 1: the PostgreSQL of the hosting plane: embedded server, pool, migrations, one role and schema per environment.

Nothing is imported here: ``hygie.database.launcher`` must start in a few milliseconds.
"""
