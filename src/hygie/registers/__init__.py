"""Registers: what an organisation writes down, as a log to which one only adds, journaled, described by schemas.

A Django application: its models map tables that numbered SQL migrations make (docs/adr/0015-proof-plane-tables.md).
"""
