"""The certification cycle of a host: records, clocks, tasks, calendar, preparation of audits, coverage, scoping.

Pure: no database, no clock of its own, no I/O but its own data files. Dates are civil dates of Europe/Paris and are
given. Records are frozen dataclasses parsed from, and dumped to, plain dicts whose dates are ``YYYY-MM-DD``.
Nothing here certifies: an accredited body does; this room tells what is recorded and what follows from it.

Source: docs/reference/certification.md.
"""
