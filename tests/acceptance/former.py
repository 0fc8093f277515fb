"""A database as a former version of Hygie left it: what each migration made is undone, newest first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

import hygie

UNDO: dict[str, tuple[str, ...]] = {
    "0005_rights_mac": (
        "ALTER TABLE hygie.account DROP COLUMN mac",
        "ALTER TABLE hygie.token DROP COLUMN mac",
        "ALTER TABLE hygie.habilitation DROP COLUMN mac",
    ),
    "0006_measurement_bounds": ("DROP FUNCTION hygie.trim_measurements",),
    "0007_proof": ("DROP SCHEMA hygie_proof CASCADE", "DROP OWNED BY hygie_console", "DROP ROLE hygie_console"),
    "0008_segments": ("DROP TABLE hygie.proof_object",),
    "0009_exit": ("DROP TABLE hygie.exit_destruction, hygie.exit_consent, hygie.exit_export",),
    "0010_suspension": ("ALTER TABLE hygie.habilitation DROP COLUMN suspended_ms",),
    "0011_applications": (
        "DROP TABLE hygie.client_key, hygie.session_end, hygie.assertion",
        "ALTER TABLE hygie.habilitation DROP COLUMN types",
        "ALTER TABLE hygie.token DROP COLUMN exception",
    ),
    "0012_requests": (
        "DROP TABLE hygie.request_use, hygie.decision, hygie.request",
        "DROP FUNCTION hygie.end_habilitation",
        "ALTER TABLE hygie.account DROP COLUMN tenant",
        "ALTER TABLE hygie.habilitation ADD CONSTRAINT habilitation_environment_fkey FOREIGN KEY (environment)"
        " REFERENCES hygie.environment",
        "ALTER TABLE hygie.token ADD CONSTRAINT token_environment_fkey FOREIGN KEY (environment)"
        " REFERENCES hygie.environment",
    ),
    "0013_authenticators": (
        "DROP FUNCTION hygie.activate",
        "DROP TABLE hygie.authenticator, hygie.authenticator_use, hygie.sign_in",
    ),
    "0014_people_sign_in": (
        "DROP TABLE hygie.person_session, hygie.session_cut",
        "ALTER TABLE hygie.client_key DROP CONSTRAINT client_key_kind_check",
    ),
    "0015_patients_and_purposes": ("ALTER TABLE hygie.habilitation DROP COLUMN patients, DROP COLUMN purposes",),
    "0016_limits_place": (
        "DROP TABLE hygie.allowance, hygie.rate_level, hygie.network, hygie.country_rule",
        "DROP TABLE hygie.active_environment",
        "DROP FUNCTION hygie.take_points, hygie.tell_active",
    ),
    "0017_break_glass": ("DROP TABLE hygie.break_glass_review, hygie.break_glass",),
    "0018_reviews": ("DROP TABLE hygie.right_review, hygie.review_campaign",),
    "0019_retentions": ("DROP TABLE hygie.retention",),
    "0020_watch": (
        "DROP TABLE hygie.finding_evidence, hygie.finding_act, hygie.finding, hygie.watch_state, hygie.watch_cursor",
        "DROP OWNED BY hygie_watch",
        "DROP ROLE hygie_watch",
    ),
    "0021_numbers_that_macs_cover": (
        "ALTER TABLE hygie.break_glass DROP CONSTRAINT break_glass_floor",
        "ALTER TABLE hygie.break_glass_review DROP CONSTRAINT break_glass_review_floor",
        "ALTER TABLE hygie.request DROP CONSTRAINT request_floor",
        "ALTER TABLE hygie.decision DROP CONSTRAINT decision_floor",
        "ALTER TABLE hygie.request_use DROP CONSTRAINT request_use_floor",
        "ALTER TABLE hygie.review_campaign DROP CONSTRAINT review_campaign_floor",
        "ALTER TABLE hygie.right_review DROP CONSTRAINT right_review_floor",
        "ALTER TABLE hygie.retention DROP CONSTRAINT retention_floor",
    ),
    "0022_escalation": ("DROP TABLE hygie.notice",),
    "0023_one_credential": ("DROP INDEX hygie.authenticator_credential",),
    "0024_host_logs": ("ALTER TABLE hygie.watch_cursor DROP COLUMN mark",),
    "0026_soc": ("DROP TABLE hygie.soc_cursor",),
    "0027_duty": ("DROP TABLE hygie.duty",),
    "0028_hardening": ("DROP TABLE hygie.hardening_report, hygie.hardening_waiver, hygie.hardening_baseline",),
    "0029_patching": ("DROP TABLE hygie.vulnerability_feed, hygie.vulnerability",),
    "0030_availability": ("DROP TABLE hygie.availability_run, hygie.availability_window, hygie.availability_since",),
    "0031_end_from_now": (
        "CREATE OR REPLACE FUNCTION hygie.end_habilitation(wanted text, by_whom text, at bigint) RETURNS boolean"
        " LANGUAGE sql SECURITY DEFINER SET search_path = hygie, pg_temp AS $$ WITH ended AS ("
        " UPDATE hygie.habilitation SET revoked_ms = at, revoked_by = by_whom, mac = NULL"
        " WHERE id = wanted AND revoked_ms IS NULL RETURNING 1) SELECT EXISTS (SELECT FROM ended) $$",
    ),
}


def migrations_since(first: str) -> list[str]:
    """Names of the migrations of the platform from a number on (``"0007"``), in order."""
    files = (Path(hygie.__file__).parent / "database" / "migrations").glob("*.sql")
    return sorted(path.stem for path in files if path.stem >= first)


def undo_since(connection: psycopg.Connection[Any], first: str, *, keep_console: bool = False) -> list[str]:
    """Undo what the migrations from a number on made. Args: connection: in autocommit, as the superuser to drop the
    console's role, as the owner with keep_console. Returns their names, in order."""
    undone = migrations_since(first)
    for name in reversed(undone):
        for statement in UNDO[name]:
            if not (keep_console and ("hygie_console" in statement or "hygie_watch" in statement)):
                connection.execute(statement.encode())
    connection.execute("DELETE FROM hygie.migration WHERE scope = '' AND name >= %s", (first,))
    return undone
