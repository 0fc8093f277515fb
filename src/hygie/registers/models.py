"""The tables of registers, as Django sees them. Made by src/hygie/database/migrations/0007_proof.sql."""

from __future__ import annotations

from django.db import models


class Head(models.Model):
    """Where a log ends: its last number, instant and digest."""

    log = models.TextField(primary_key=True)
    seq = models.BigIntegerField()
    at_ms = models.BigIntegerField()
    digest = models.BinaryField()

    class Meta:
        """Made by SQL, not by Django."""

        managed = False
        db_table = "head"


class Record(models.Model):
    """One version of one record. body: JSON text of its fields, keys sorted; at_ms: UTC."""

    seq = models.BigIntegerField(primary_key=True)
    register = models.TextField()
    key = models.TextField()
    version = models.IntegerField()
    at_ms = models.BigIntegerField()
    author = models.TextField()
    approver = models.TextField()
    tenant = models.TextField()
    state = models.TextField()
    reason = models.TextField()
    body = models.TextField()
    digest = models.BinaryField()

    class Meta:
        """Made by SQL, not by Django."""

        managed = False
        db_table = "record"
        ordering = ("seq",)


class Document(models.Model):
    """A file that records name by its SHA-256."""

    sha256 = models.BinaryField(primary_key=True)
    name = models.TextField()
    media_type = models.TextField()
    at_ms = models.BigIntegerField()
    content = models.BinaryField()

    class Meta:
        """Made by SQL, not by Django."""

        managed = False
        db_table = "document"
