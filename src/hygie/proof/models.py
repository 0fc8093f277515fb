"""The tables of evidence, as Django sees them. Made by src/hygie/database/migrations/0007_proof.sql."""

from __future__ import annotations

from django.db import models


class Catalogue(models.Model):
    """What was checked against what, as one JSON text, by its SHA-256."""

    sha256 = models.BinaryField(primary_key=True)
    at_ms = models.BigIntegerField()
    body = models.TextField()

    class Meta:
        """Made by SQL, not by Django."""

        managed = False
        db_table = "catalogue"


class Batch(models.Model):
    """One evaluation; catalogue: SHA-256 of its catalogue."""

    seq = models.BigIntegerField(primary_key=True)
    at_ms = models.BigIntegerField()
    cause = models.TextField()
    mode = models.TextField()
    count = models.IntegerField()
    catalogue = models.BinaryField()
    digest = models.BinaryField()

    class Meta:
        """Made by SQL, not by Django."""

        managed = False
        db_table = "batch"
        ordering = ("seq",)


class Run(models.Model):
    """The outcome of one check in one batch; body: its JSON text, which the other columns repeat."""

    pk = models.CompositePrimaryKey("batch", "place")
    batch = models.BigIntegerField()
    place = models.IntegerField()
    check_id = models.TextField()
    at_ms = models.BigIntegerField()
    fresh_until_ms = models.BigIntegerField()
    since_ms = models.BigIntegerField()
    verdict = models.TextField()
    evidence = models.TextField()
    body = models.TextField()

    class Meta:
        """Made by SQL, not by Django."""

        managed = False
        db_table = "run"
