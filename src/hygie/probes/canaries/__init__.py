"""Canary records: made-up patients that nobody treats, whose values must never be seen outside their environment."""
