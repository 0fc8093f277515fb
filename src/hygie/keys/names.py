"""What a caller may name: checked shapes, so that no free text reaches the state, the record or a log."""

from __future__ import annotations

import re

from hygie.base.actions import KINDS
from hygie.base.clock import month_of
from hygie.keys.errors import KmsRequestError
from hygie.keys.kms import ID_BYTES, REASON_CHARACTERS_MAX

TENANTS_MAX = 65_536  # 100 bytes each in the root file, read whole at each start: 7 MB
ENVIRONMENTS_MAX = 4_096  # per tenant: with 64 epochs each, 27 MB of the 64 MiB that a file of the state may take
MONTHS_MAX = 8192  # per tenant: 5 classes for 136 years; the state file stays under 1 MiB
MONTH_MS_MAX = 31 * 86_400_000
PERMIT_BYTES_MAX = 32
_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_REASON = re.compile(rf"[A-Za-z0-9][A-Za-z0-9:._-]{{0,{REASON_CHARACTERS_MAX - 1}}}")


def check_id(value: bytes, part: str) -> None:
    """A tenant's or environment's id: 16 bytes. Raises: KmsRequestError."""
    if len(value) != ID_BYTES:
        raise KmsRequestError(reason=f"the id of the {part} has {ID_BYTES} bytes")


def check_purpose(value: str) -> None:
    """The purpose of a derived key. Raises: KmsRequestError."""
    if not _PURPOSE.fullmatch(value):
        raise KmsRequestError(reason="a purpose is 1 to 32 of a-z, 0-9 and dash")


def check_kind(value: str) -> None:
    """A class of journal entries. Raises: KmsRequestError."""
    if value not in KINDS:
        raise KmsRequestError(reason=f"a class of journal entries is one of {', '.join(KINDS)}")


def check_month(value: str) -> None:
    """A month, ``2026-11``. Raises: KmsRequestError."""
    if not _MONTH.fullmatch(value):
        raise KmsRequestError(reason="a month is written 2026-11")


def check_month_now(value: str, *, created_at_ms: int, now_ms: int) -> None:
    """A month whose key may be made: from that of the key folder's making to the next one from now.

    Whoever may ask for month keys must not use up MONTHS_MAX with months of other centuries: the tenant's journal, and
    every read with it, would stop for ever. A folder made under a clock that was ahead goes on from the clock of now.
    Raises: KmsRequestError.
    """
    first = min(month_of(created_at_ms), month_of(now_ms))
    if not first <= value <= month_of(now_ms + MONTH_MS_MAX):
        raise KmsRequestError(reason="a month key is of the time since the keys were made, or of next month")


def check_permit(value: bytes) -> None:
    """A permit's id: 1 to 32 bytes. Raises: KmsRequestError."""
    if not 1 <= len(value) <= PERMIT_BYTES_MAX:
        raise KmsRequestError(reason=f"the id of a permit has 1 to {PERMIT_BYTES_MAX} bytes")


def check_reason(value: str) -> None:
    """Why keys leave: an action's name or a code, never free text. Raises: KmsRequestError."""
    if not _REASON.fullmatch(value):
        raise KmsRequestError(reason=f"a reason is a code of at most {REASON_CHARACTERS_MAX} characters")
