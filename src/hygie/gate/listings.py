"""What administration shows people of each table: names instead of ids, never a hash nor a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LISTINGS: Final[Mapping[str, str]] = {
    "tenant": "SELECT name, label, created_ms FROM hygie.tenant ORDER BY name",
    "account": (
        "SELECT a.id, a.kind, a.label, t.name AS tenant, a.professional_id, a.state, a.created_ms, a.ends_ms"
        " FROM hygie.account a LEFT JOIN hygie.tenant t ON t.id = a.tenant ORDER BY a.id"
    ),
    "habilitation": (
        "SELECT h.id, h.account, coalesce(t.name, 'hygie') AS tenant, coalesce(e.name, 'platform') AS environment,"
        " h.role, h.reason, h.approver, h.starts_ms, h.ends_ms, h.types, h.patients, h.purposes, h.suspended_ms,"
        " h.revoked_ms, h.revoked_by FROM hygie.habilitation h LEFT JOIN hygie.environment e ON e.id = h.environment"
        " LEFT JOIN hygie.tenant t ON t.id = e.tenant ORDER BY h.starts_ms"
    ),
    "authenticator": (
        "SELECT id, account, kind, label, delivered_how, delivered_by, created_ms, ends_ms, revoked_ms"
        " FROM hygie.authenticator ORDER BY created_ms, id"
    ),
    "person_session": (
        "SELECT s.account, s.application, t.name AS tenant, e.name AS environment, s.method, s.opened_ms, s.until_ms"
        " FROM hygie.person_session s JOIN hygie.environment e ON e.id = s.environment"
        " JOIN hygie.tenant t ON t.id = e.tenant"
        " LEFT JOIN (SELECT account, max(before_ms) AS before_ms FROM hygie.session_cut GROUP BY account) c"
        " ON c.account = s.account"
        " WHERE s.until_ms > extract(epoch FROM clock_timestamp()) * 1000"
        " AND s.opened_ms >= COALESCE(c.before_ms, 0)"
        " AND NOT EXISTS (SELECT 1 FROM hygie.session_end x WHERE x.id = s.id) ORDER BY s.opened_ms"
    ),
    "client_key": (
        "SELECT id, account, kind, CASE kind WHEN 'jwks' THEN '' ELSE value END AS value, created_ms, ends_ms,"
        " revoked_ms FROM hygie.client_key ORDER BY created_ms"
    ),
    "token": (
        "SELECT k.id, k.account, coalesce(t.name, 'hygie') AS tenant, coalesce(e.name, 'platform') AS environment,"
        " k.created_ms, k.expires_ms, k.exception, k.revoked_ms FROM hygie.token k"
        " LEFT JOIN hygie.environment e ON e.id = k.environment LEFT JOIN hygie.tenant t ON t.id = e.tenant"
        " ORDER BY k.created_ms"
    ),
}
