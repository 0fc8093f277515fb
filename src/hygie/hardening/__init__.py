"""Hardening: points of the machine measured and held to a baseline, reports of other programs, systemd units."""
