"""Looks at the running platform and hands what it saw to ``proof``, which judges without touching anything."""
