"""Django's models say what the SQL migrations made, column by column."""

from __future__ import annotations

import psycopg
from django.apps import apps

from hygie.database.cluster import Dsns

_COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = 'hygie_proof' AND table_name = %s ORDER BY ordinal_position
"""
TYPE = {
    "TextField": "text",
    "BigIntegerField": "bigint",
    "IntegerField": "integer",
    "BinaryField": "bytea",
}


def test_each_model_is_its_table(database: Dsns) -> None:
    models = list(apps.get_models())
    assert {one._meta.db_table for one in models} >= {"head", "record", "document"}
    with psycopg.connect(database.owner) as owner:
        for model in models:
            assert not model._meta.managed
            wanted = [(one.column, TYPE[one.get_internal_type()]) for one in model._meta.concrete_fields]
            assert sorted(owner.execute(_COLUMNS.encode(), (model._meta.db_table,)).fetchall()) == sorted(wanted)
