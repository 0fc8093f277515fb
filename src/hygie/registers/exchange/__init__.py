"""Registers in and out of files: CSV and XLSX for people, JSON for machines, PDF for a dossier.

Formats: docs/formats/register-files.md.
"""
