"""What is let go of the database: the oldest measurements of each kind, and what is long over of sessions."""

from __future__ import annotations

from hygie.database.pool import Database
from hygie.gate.lockout import FAILED_MS, KNOWN_MS
from hygie.logkeeping import MEASUREMENT as LOGS_KIND
from hygie.patchkeeping import MEASUREMENT as PATCHES_KIND
from hygie.probes.canaries.watch import KIND as CANARIES_KIND
from hygie.recordings import MEASUREMENT as SESSIONS_KIND
from hygie.surveys import SURVEYS_KEPT
from hygie.uptime import KIND as UPTIME_KIND
from hygie.uptime import TENANT_KIND as UPTIME_TENANT_KIND

_OVER_ENDS = "DELETE FROM hygie.session_end WHERE until_ms < %s"
_OVER_CUTS = "DELETE FROM hygie.session_cut WHERE until_ms < %s"
_OVER_SESSIONS = "DELETE FROM hygie.person_session WHERE until_ms < %s"
_OVER_ASSERTIONS = "DELETE FROM hygie.assertion WHERE until_ms < %s"
_OVER_SIGN_INS = "DELETE FROM hygie.sign_in WHERE seen_ms < %s OR (good_ms = 0 AND seen_ms < %s)"
OVER_MS = 3_600_000  # a token that ended is refused by itself; an hour more covers a clock that was ahead
TRIM_EVERY_S = 3_600.0
KEPT = {  # runs of a kind: some days of what speaks often
    "journal": 34_560,
    "catch-up": 34_560,
    "journal-copies": 5_760,
    "rights": 5_760,
    LOGS_KIND: 5_760,
    SESSIONS_KIND: 20_000,
    "unwraps": 5_760,
    "door": 5_760,
    UPTIME_KIND: 5_760,
    UPTIME_TENANT_KIND: 5_760,
    CANARIES_KIND: 5_760,
    "scrub": 10_000,
    "backup": 20_000,
    "watch": 5_760,
    "machine": 2_160,
    PATCHES_KIND: 1_000,
    **dict.fromkeys(("incident-clocks", "rota"), 5_760),
    "exports": 5_760,
} | SURVEYS_KEPT


async def run_trim(records: Database, now_ms: int) -> int:
    """Let the oldest runs of each kind go, drills are few and all stay; and what is long over of sessions: their early
    ends, what people were shown of them, the assertions that were taken, the failed sign-ins.

    Returns how many rows went.
    """
    gone = 0
    async with records.transaction() as connection:
        for kind, kept in KEPT.items():
            row = await (await connection.execute("SELECT hygie.trim_measurements(%s, %s)", (kind, kept))).fetchone()
            gone += row[0] if row is not None else 0
        for statement in (_OVER_ENDS, _OVER_CUTS, _OVER_SESSIONS, _OVER_ASSERTIONS):
            gone += (await connection.execute(statement, (now_ms - OVER_MS,))).rowcount
        gone += (await connection.execute(_OVER_SIGN_INS, (now_ms - KNOWN_MS, now_ms - FAILED_MS))).rowcount
    return gone
